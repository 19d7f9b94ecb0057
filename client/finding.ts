/** What `doctor` finds: one check each, with what to do where it fails. Pure. */

export interface Finding {
  readonly check: string;
  readonly ok: boolean;
  readonly found: string;
  /** Empty when ok. */
  readonly fix: string;
}

export const yes = (check: string, found: string): Finding => ({ check, ok: true, found, fix: '' });
export const no = (check: string, found: string, fix: string): Finding => ({ check, ok: false, found, fix });
/** By shape, not class: not every boundary keeps the class. */
export const messageOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : String(error);

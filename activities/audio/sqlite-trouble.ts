/** What SQLite and the file system say, told in terms of what to do: wait (throw), or a person's turn (permanent). */
import { codeOf, reasonOf } from '../shared/failures';
import { permanent } from './failures';

/** Runs `work` on the file at `path`; its errors come out explained. Other errors pass unchanged. */
export function explained<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw explain(path, error);
  }
}

function explain(path: string, error: unknown): unknown {
  const code = codeOf(error);
  const said = `${path}: ${reasonOf(error)}`;
  if (/^SQLITE_(BUSY|LOCKED)/.test(code)) {
    return new Error(`${said}. Another process writes this file; tried again until it is free.`, { cause: error });
  }
  if (code === 'SQLITE_FULL' || code === 'ENOSPC' || code === 'EDQUOT') {
    return permanent('DiskFull', `${said}. Make room, then resume: nothing is lost and the position is kept.`, error);
  }
  if (
    /^SQLITE_(READONLY|CANTOPEN|PERM)/.test(code) ||
    ['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'ENOENT', 'EEXIST'].includes(code)
  ) {
    return permanent(
      'DirectoryUnwritable',
      `${said}. The worker must be able to create and write files there; correct local_dir or its rights, then resume.`,
      error,
    );
  }
  if (/^SQLITE_(CORRUPT|NOTADB|CONSTRAINT|SCHEMA|ERROR)/.test(code)) {
    return permanent(
      'ShowFileCorrupt',
      `${said}. This is not a sound copy of the show: move the file away and sync again.`,
      error,
    );
  }
  return error;
}

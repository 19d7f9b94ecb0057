/** Objects of a plan as text, and the calls they stand for. */
import fc from 'fast-check';
import { decodeAddObject } from '../../activities/recall/facade';
import {
  addObjectCall,
  digestOf,
  packObject,
  planDigest,
  unpackObject,
  type StagedObject,
} from '../../activities/recall/plan';

const hexOf = (bytes: number): fc.Arbitrary<string> =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((value) => Buffer.from(value).toString('hex'));
const word = hexOf(32).map((hex) => `0x${hex}` as const);
const object: fc.Arbitrary<StagedObject> = fc.record({
  id: fc.uuid(),
  folder: fc.constantFrom('trade/', 'c/a/agent_score/', 'ü b/%/'),
  contentType: fc.constantFrom('application/json', 'application/octet-stream'),
  size: fc.integer({ min: 1, max: 5_000_000_000 }),
  blobHash: word,
  recoveryHash: word,
  sha256: hexOf(32),
  etag: fc.option(hexOf(16)),
});
const foldersOf = ({ folder, contentType }: StagedObject): [string, string][] => [
  ['other/', 'text/plain'],
  [folder, contentType],
];

it('an object comes out as it went in', () => {
  fc.assert(
    fc.property(object, (given) => {
      expect(unpackObject(packObject(given, 1), foldersOf(given))).toEqual(given);
    }),
  );
});

it('an ETag that is no MD5 is left out', () => {
  fc.assert(
    fc.property(object, fc.constantFrom('abc-12', '', 'Z'.repeat(32), 'ab'.repeat(17)), (given, etag) => {
      expect(unpackObject(packObject({ ...given, etag }, 1), foldersOf(given)).etag).toBeNull();
    }),
  );
});

it('anything else is refused, whatever was cut or changed', () => {
  const broken = fc.tuple(object, fc.nat(), fc.constantFrom('', ' ', '*', '=')).map(([given, at, by]) => {
    const line = packObject(given, 1);
    const place = at % line.length;
    return { given, line: line.slice(0, place) + by + line.slice(place + 1) };
  });
  fc.assert(
    fc.property(broken, ({ given, line }) => {
      const original = packObject(given, 1);
      const result = ((): StagedObject | TypeError => {
        try {
          return unpackObject(line, foldersOf(given));
        } catch (error) {
          return error as TypeError;
        }
      })();
      // A digit less of the size is a size as well: of what is fixed in length nothing may pass.
      if ('message' in result) expect(result.message).toMatch(/not an object of a plan/);
      else expect(original.split(' ')[2]).toBe(line.split(' ')[2]);
    }),
  );
  for (const line of ['', '0', '0 1', '2 5 AAAA', ' 5 AAAA', '-1 5 AAAA', '1 5 AAAA extra', 'constructor 1 AA'])
    expect(() => unpackObject(line, [['a/', 'b']])).toThrow(TypeError);
});

it('the call says the key, the bytes and how to tell them again', () => {
  fc.assert(
    fc.property(object, fc.boolean(), fc.integer({ min: 3600, max: 86_400 }), word, (given, overwrite, ttl, node) => {
      const batch = { node, folders: foldersOf(given), objects: [packObject(given, 1)], ttl, overwrite };
      const { id, folder, size, blobHash, recoveryHash, sha256, contentType, etag } = given;
      expect(decodeAddObject(addObjectCall(batch, 0))).toEqual({
        ...{ source: node, key: folder + id, blobHash, recoveryHash, size, ttl, overwrite },
        metadata: [
          { key: 'sha256', value: sha256 },
          { key: 'source-id', value: id },
          { key: 'content-type', value: contentType },
          ...(etag === null ? [] : [{ key: 'etag', value: etag }]),
        ],
      });
      expect(() => addObjectCall(batch, 1)).toThrow(TypeError);
    }),
  );
});

it('a digest is of keys, blobs and sizes in their order', () => {
  fc.assert(
    fc.property(fc.array(object, { minLength: 2, maxLength: 4 }), (objects) => {
      const folders = objects.map(({ folder, contentType }) => [folder, contentType] as const);
      const lines = objects.map(packObject);
      const added = objects.map(({ folder, id, blobHash, size }) => ({ key: folder + id, blobHash, size }));
      const digest = planDigest({ folders, objects: lines });
      expect(digest).toBe(digestOf(added));
      expect(digest).not.toBe(digestOf(added.slice(1)));
      expect(digest).not.toBe(digestOf([...added].reverse()));
      expect(digest).not.toBe(digestOf(added.map((each) => ({ ...each, size: each.size + 1 }))));
    }),
  );
});

/** What people and programs read: numbers, names, lines, exit codes. No server, no clock. */
import { jobNameOf } from '../../client/audio/knowledge';
import { rebaseLine } from '../../client/audio/rebase';
import { outcomeLines } from '../../client/audio/retention';
import { codeOf, isDrift, verdictLines } from '../../client/audio/verify';
import { CommandError, exit, exitCodeOf } from '../../client/exit';
import { bytes, duration, printable, shellWord, table, withoutPassword } from '../../client/format';
import { nodeVersion } from '../../client/verbs/doctor';
import { differences } from '../../client/verbs/run';

describe('numbers', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 kB'],
    [4_200_000, '4.2 MB'],
    [999_960, '1.0 MB'],
    [123_456_789, '123 MB'],
    [5e12, '5.0 TB'],
  ])('%d bytes are %s', (count, text) => expect(bytes(count)).toBe(text));

  it.each([
    [0, '0 s'],
    [42.4, '42 s'],
    [190, '3 min 10 s'],
    [3600, '1 h'],
    [7500, '2 h 5 min'],
    [273_600, '3 d 4 h'],
  ])('%d seconds are %s', (seconds, text) => expect(duration(seconds)).toBe(text));
});

describe('words from elsewhere', () => {
  it('do not steer the terminal', () => expect(printable('a\u001b[2Jb')).toBe('a�[2Jb'));
  it('are quoted for a shell where they need it', () => {
    expect(shellWord('radio-1a2b3c')).toBe('radio-1a2b3c');
    expect(shellWord("it's")).toBe(`'it'\\''s'`);
  });
  it('lose the password in an address', () => {
    expect(withoutPassword('http://me:secret@host/path')).toBe('http://********@host/path');
    expect(withoutPassword('http://host/a@b')).toBe('http://host/a@b');
  });
});

it('a table has its columns under each other and no trailing blanks', () => {
  expect(
    table(
      [
        ['a', 'long cell', ''],
        ['bcd', 'x', 'y'],
      ],
      ' ',
    ),
  ).toEqual([' a    long cell', ' bcd  x          y']);
});

describe("a job's name", () => {
  it('is the folder, and a digest of host and whole path', () => {
    const name = jobNameOf('studio', '/srv/radio');
    expect(name).toMatch(/^radio-[0-9a-f]{6}$/);
    expect(jobNameOf('studio', '/srv/radio')).toBe(name);
    expect(jobNameOf('office', '/srv/radio')).not.toBe(name);
    expect(jobNameOf('studio', '/mnt/radio')).not.toBe(name);
    expect(jobNameOf('studio', '/srv/my radio!')).toMatch(/^my-radio--[0-9a-f]{6}$/);
    expect(jobNameOf('studio', '/')).toMatch(/^root-[0-9a-f]{6}$/);
  });
});

describe('a verdict', () => {
  const counts = { matched: 58, differing: 0, missingLocally: 0, missingAtSource: 0, notYetSynced: 0 };
  const equal = { show: 'harbour_radio', ...counts, metadata: [], samples: [] };

  it('is equal, also where something is not synced yet or gone at the sender', () => {
    expect(verdictLines(equal)).toEqual(['harbour_radio: equal', '  = 58 matched']);
    const behind = { ...equal, missingLocally: 3, notYetSynced: 3, missingAtSource: 2 };
    expect(isDrift(behind)).toBe(false);
    expect(verdictLines(behind).slice(2)).toEqual(['  + 2 missing at the sender', '  > 3 not synced yet']);
  });

  it('is drift where content, ids or metadata differ', () => {
    const differs = { ...equal, differing: 1, missingLocally: 4, notYetSynced: 3, samples: ['differs 12'] };
    expect(verdictLines({ ...differs, metadata: ['bitrate: 16 here, 32 at the sender'] })).toEqual([
      'harbour_radio: DIFFERS',
      '  = 58 matched',
      '  * 1 differing',
      '  - 1 missing locally',
      '  > 3 not synced yet',
      '  ! bitrate: 16 here, 32 at the sender',
      '    differs 12',
    ]);
    expect(codeOf([differs, equal], 0)).toBe(exit.failed);
    expect(codeOf([equal], 0)).toBe(exit.ok);
    expect(codeOf([equal], 1)).toBe(exit.partial);
    expect(codeOf([], 1)).toBe(exit.failed);
  });
});

it('retention says what it did, or would do', () => {
  const outcomes = [
    { show: 'a', deleted: 72, keptFromId: 73 },
    { show: 'b', deleted: 0, keptFromId: null, skipped: 'is a copy' },
  ];
  expect(outcomeLines(outcomes, true)).toEqual(['a  would delete 72 segments, kept from 73', 'b  skipped: is a copy']);
});

it('rebase says which way it went', () => {
  const result = { show: 'a', fromUniqueId: 'db_1', toUniqueId: 'db_2', lastId: 9, keptAside: null };
  expect(rebaseLine(result)).toBe('a: goes on after 9 from db_2, formerly db_1');
  expect(rebaseLine({ ...result, keptAside: '/x/a.local.sqlite' })).toContain('is kept as /x/a.local.sqlite');
});

it('settings that differ are named with both values', () => {
  expect(differences({ a: 1, b: [], c: 'x' }, { a: 2, b: [], d: true })).toEqual([
    'a is 1, asked 2',
    'c is "x", asked unset',
    'd is unset, asked true',
  ]);
});

it('a Node that is too old is refused', () => {
  expect(nodeVersion('20.18.9').ok).toBe(false);
  expect(nodeVersion('20.19.0').ok).toBe(true);
  expect(nodeVersion('24.1.0').ok).toBe(true);
});

it('an error carries its exit code by class or by name; a defect has none', () => {
  expect(exitCodeOf(new CommandError(exit.partial, ''))).toBe(5);
  expect(exitCodeOf(Object.assign(new Error(), { name: 'ConfigError' }))).toBe(3);
  expect(exitCodeOf(Object.assign(new Error(), { name: 'FlagError' }))).toBe(2);
  expect(exitCodeOf(Object.assign(new Error(), { name: 'UnreachableTemporal' }))).toBe(4);
  expect(exitCodeOf(new Error())).toBeNull();
});

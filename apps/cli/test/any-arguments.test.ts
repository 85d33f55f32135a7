import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { type CliOptions, runCli } from '@opencode-tools/cli';
import { openHome, maintainHome } from '@opencode-tools/toolkit';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Command, CommandOption } from '../../../packages/cli/src/command.ts';
import { commandTable } from '../../../packages/cli/src/command-table.ts';
import { globalOptions, optionsOf } from '../../../packages/cli/src/arguments/common-options.ts';

const soak = process.env['OPENCODE_TOOLS_SOAK'] === '1';
const runsPerVerb = soak ? 300 : 10;
const runsOfAnything = soak ? 3_000 : 200;
/** More than any of these may take: none waits for an engine or for somebody else. */
const hangsAfterMs = 60_000;
/** Those of the error families; 1 for what a verb has to say no to; 125 for failures of ours in `exec`. */
const documentedCodes = [0, 1, 2, 3, 4, 5, 6, 7, 8, 125];

let directory: string;
let template: Place;

interface Place {
  readonly root: string;
  readonly home: string;
  readonly work: string;
  /** Values that fit somewhere: ids of what is there. */
  readonly known: readonly string[];
}

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly hung: boolean;
}

/** Runs one line in this process over a real home whose engine is away. */
async function run({ root, home, work }: Place, argv: readonly string[]): Promise<Ran> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const texts = [textOf(stdout), textOf(stderr)] as const;
  const signal = AbortSignal.timeout(hangsAfterMs);
  const environment = {
    HOME: root,
    XDG_CACHE_HOME: join(root, 'cache'),
    OPENCODE_TOOLS_HOME: home,
    OPENCODE_TOOLS_ENGINE_ENDPOINT: `unix://${root}/no-engine.sock`,
  };
  const facts = (reference: string) => Promise.resolve({ id: `sha256:${reference}`, reference } as never);
  const options: CliOptions = {
    argv,
    environment,
    stdin: Readable.from([]),
    stdout,
    stderr,
    isTty: false,
    signal,
    cwd: work,
    version: '1.2.3',
    openHome: (places) =>
      openHome({
        ...places,
        cwd: work,
        environment,
        decorate: (ports) => ({ ...ports, images: { ...ports.images, ensure: facts } }),
      }),
    maintainHome: (places) => maintainHome({ ...places, cwd: work, environment }),
  };
  const code = await runCli(options);
  stdout.end();
  stderr.end();
  return { code, stdout: await texts[0], stderr: await texts[1], hung: signal.aborted };
}

async function textOf(stream: PassThrough): Promise<string> {
  let text = '';
  for await (const chunk of stream.setEncoding('utf8')) text += String(chunk);
  return text;
}

/** A home with a task that an agent holds, a todo, a note, a decision and a backup. */
async function makePlace(name: string): Promise<Place> {
  const root = join(directory, name);
  const place = { root, home: join(root, 'home'), work: join(root, 'a', 'b', 'work'), known: [] };
  await mkdir(place.work, { recursive: true });
  await writeFile(join(place.work, 'file'), 'text\n');
  const json = async (...argv: string[]) => {
    const { code, stdout, stderr } = await run(place, [...argv, '--json']);
    expect({ argv, code, stderr }).toMatchObject({ code: 0 });
    return JSON.parse(stdout) as Readonly<Record<string, Readonly<Record<string, string>>>>;
  };
  const { task } = await json('create-task', 'known');
  const { session } = await json('resume-task', 'known', '--agent', 'build', '--ttl', '1d');
  const id = session?.['id'] ?? '';
  const { todo } = await json('todo', 'add', 'known', 'a todo', '--session', id);
  const { note } = await json('note', 'add', 'known', 'a note', '--session', id);
  await json('decide', 'known', 'a decision', '--session', id);
  const backup = await json('db', 'backup');
  const found = JSON.stringify(backup).match(/[\w-]+\.(?:db|sql|jsonl)\b/);
  const ids = [task?.['id'], session?.['id'], todo?.['id'], note?.['id'], found?.[0]];
  return { ...place, known: ['known', ...ids.filter((each) => each !== undefined)] };
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'oct-any-arguments-'));
  template = await makePlace('shared');
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** No absolute paths: verbs that write where they are told are run for real. */
const odd = fc.oneof(
  fc.constantFrom(
    '',
    ' ',
    '-',
    '--',
    '---',
    '-x',
    '--json=1',
    '--no-json',
    '../../up',
    './file',
    'new',
    '\u0000',
    'a\nb',
  ),
  fc.constantFrom('\ud800', 'x'.repeat(100_000), '__proto__', 'constructor', '%s%n', "'; drop table tasks; --", '-1'),
  fc.constantFrom(
    '0',
    '1',
    '1.5',
    '1e308',
    '9007199254740993',
    'NaN',
    '3 weeks',
    '1ms',
    '2g',
    '2026-11-20',
    'a=b',
    '=',
  ),
  fc.constantFrom('tsk_00000000000000000000000000', 'ses_0000000000000000000000000z', 'exe_0', 'postgres://', '**'),
  fc.string({ maxLength: 8 }).map((text) => text.replaceAll(/[/\\]/g, '')),
);

function wordsOf({ known }: Place): fc.Arbitrary<string> {
  return fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...known) }, { weight: 2, arbitrary: odd });
}

function optionOf({ name, value }: CommandOption, words: fc.Arbitrary<string>): fc.Arbitrary<readonly string[]> {
  if (value === undefined) return fc.constant([`--${name}`]);
  const fitting = fc.constantFrom(...(value.choices ?? ['1', '1ms', 'a=b', 'text', 'known']));
  return fc.oneof(fitting, words).map((text) => [`--${name}`, text]);
}

/** The verb with about the words it wants, some of its options, and the global ones now and then. */
function lineOf(command: Command, place: Place): fc.Arbitrary<readonly string[]> {
  const words = wordsOf(place);
  const wanted = command.parameters.length;
  const parameters = fc.oneof(
    fc.array(words, { minLength: wanted, maxLength: wanted }),
    fc.array(words, { maxLength: wanted + 2 }),
  );
  const known = optionsOf(command);
  const some = fc
    .subarray([...known], { maxLength: Math.min(3, known.length) })
    .chain((options) => fc.tuple(...options.map((option) => optionOf(option, words))));
  const globals = fc.subarray(globalOptions.filter(({ value }) => value === undefined));
  return fc
    .tuple(parameters, some, globals, fc.boolean())
    .map(([given, options, flags, first]) => [
      ...command.name.split(' '),
      ...(first ? [] : given),
      ...options.flat(),
      ...flags.map(({ name }) => `--${name}`),
      ...(first ? given : []),
    ]);
}

/** What lies outside the home, by path. */
async function outside({ root, home }: Place): Promise<readonly string[]> {
  const all = await readdir(root, { recursive: true });
  return all.map((path) => join(root, path)).filter((path) => !path.startsWith(home));
}

/** What a line did that none may do. */
async function faultsOf(place: Place, argv: readonly string[]): Promise<readonly string[]> {
  const before = new Set(await outside(place));
  const { code, stderr, hung } = await run(place, argv);
  const made = (await outside(place)).filter((path) => !before.has(path) && !isNamed(path, place, argv));
  const found = {
    hangs: hung,
    [`ends with ${code}: ${stderr}`]: !documentedCodes.includes(code),
    [`is an internal failure: ${stderr}`]: stderr.includes('OCT_INTERNAL'),
    [`shows a stack: ${stderr}`]: /\n\s+at .+:\d+:\d+/.test(stderr),
    [`does not fail in JSON: ${stderr}`]: stderr !== '' && asksForJson(argv) && !isFailure(stderr),
    [`makes ${made.join(', ')}`]: made.length > 0,
  };
  return Object.keys(found).filter((fault) => found[fault]);
}

function asksForJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  return (end < 0 ? argv : argv.slice(0, end)).includes('--json');
}

function isFailure(text: string): boolean {
  try {
    return typeof (JSON.parse(text) as { error: { remedy: unknown } }).error.remedy === 'string';
  } catch {
    return false;
  }
}

/** A verb that writes files of the caller's writes to a place that the line names. */
function isNamed(path: string, { root }: Place, argv: readonly string[]): boolean {
  const segments = path.slice(root.length).split('/');
  // The folder that this verb writes into has the verb's name, wherever it is.
  if (argv.includes('task-memory') && segments.includes('.task-memory')) return true;
  return argv.some((word) => word.split(/[=/:]/).some((part) => part !== '' && segments.includes(part)));
}

describe.each(commandTable.map((command) => [command.name, command] as const))(
  'any arguments of %s',
  (name, command) => {
    test('are done or refused with a documented code, and touch nothing that was not named', async () => {
      // These leave another registry behind, or none.
      const own = name.startsWith('db ') || name === 'cleanup-task';
      const place = own ? await makePlace(name.replace(' ', '-')) : template;
      await fc.assert(
        fc.asyncProperty(lineOf(command, place), async (argv) => {
          expect(await faultsOf(place, argv)).toEqual([]);
        }),
        { numRuns: runsPerVerb },
      );
    });
  },
);

test('any words at all are done or refused with a documented code', async () => {
  // Of those that leave another registry behind, the verbs above have their own homes.
  const verbs = fc.constantFrom(...new Set(commandTable.flatMap(({ name }) => name.split(' '))));
  const flags = fc.constantFrom(...globalOptions.map(({ name }) => `--${name}`), '-h', '--help', '-V', '--version');
  const line = fc.array(fc.oneof(verbs, flags, wordsOf(template)), { maxLength: 6 }).filter((argv) => argv[0] !== 'db');
  await fc.assert(
    fc.asyncProperty(line, async (argv) => {
      expect(await faultsOf(template, argv)).toEqual([]);
    }),
    { numRuns: runsOfAnything },
  );
});

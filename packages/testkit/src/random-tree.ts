import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as fc from 'fast-check';

/** One thing done to a tree on disk. Numbers choose among what is there when it is done. */
export interface TreeAction {
  readonly kind: 'file' | 'directory' | 'symlink' | 'link' | 'delete' | 'rename' | 'mode' | 'touch' | 'append';
  readonly at: number;
  readonly other: number;
  /** Bytes of the name, as Latin-1: not always valid UTF-8. */
  readonly name: string;
  readonly content: Uint8Array;
  readonly mode: number;
  readonly seconds: number;
}

const names = [
  'a',
  'b',
  'c.txt',
  'a-b',
  'a b',
  '.git',
  '-n',
  "it's",
  '"',
  '\\',
  'tab\t',
  'line\nfeed',
  '\xc3\xa9',
  '\xff\xfe',
  '*',
  '%',
  'x'.repeat(120),
];

/** Random edits of a tree, odd names, links, modes and times among them. */
export function treeActions(most = 40): fc.Arbitrary<readonly TreeAction[]> {
  const kinds = [
    'file',
    'file',
    'file',
    'directory',
    'directory',
    'symlink',
    'link',
    'delete',
    'rename',
    'mode',
    'touch',
    'append',
  ] as const;
  const action = fc.record({
    kind: fc.constantFrom(...kinds),
    at: fc.nat(1_000),
    other: fc.nat(1_000),
    name: fc.constantFrom(...names),
    content: fc.uint8Array({ maxLength: 2_000 }),
    mode: fc.constantFrom(0o644, 0o600, 0o755, 0o4755, 0o2755, 0o1777, 0o444),
    seconds: fc.double({ min: -1_000_000, max: 4_000_000_000, noNaN: true }),
  });
  return fc.array(action, { maxLength: most, minLength: 1, size: 'max' });
}

/** Does actions one after the other to a directory. The same actions on equal trees give equal content. */
export function applyTreeActions(root: string, actions: readonly TreeAction[]): void {
  for (const action of actions) applyAction(root, action);
}

/**
 * Describes every name below a directory in one line each: type, mode, owner, time in nanoseconds, content digest, link
 * target, and for hard links the first path of the file. The time of the top directory is left out.
 */
export function describeTree(root: string): readonly string[] {
  const firsts = new Map<string, string>();
  return listTree(root).flatMap((path) => {
    const full = fsPath(root, path);
    const facts = fs.lstatSync(full, { bigint: true });
    const stat = `${(facts.mode & 0o7777n).toString(8)} ${facts.uid}:${facts.gid} ${facts.mtimeNs}`;
    const shown = JSON.stringify(path);
    if (facts.isDirectory()) return [`directory ${shown} ${stat}`];
    if (facts.isSymbolicLink()) {
      return [
        `symlink ${shown} ${facts.uid}:${facts.gid} ${facts.mtimeNs} ${JSON.stringify(fs.readlinkSync(full, 'latin1'))}`,
      ];
    }
    if (!facts.isFile()) return [];
    const first = firsts.get(String(facts.ino)) ?? path;
    firsts.set(String(facts.ino), first);
    const digest = createHash('sha256').update(fs.readFileSync(full)).digest('hex');
    return [`file ${shown} ${stat} ${digest} ${JSON.stringify(first)}`];
  });
}

function applyAction(root: string, action: TreeAction): void {
  const paths = listTree(root);
  const directories = ['', ...paths.filter((path) => fs.lstatSync(fsPath(root, path)).isDirectory())];
  const parent = pick(directories, action.other) ?? '';
  const fresh = parent === '' ? action.name : `${parent}/${action.name}`;
  const existing = pick(paths, action.at);
  if (fresh.length > 900) return;
  if (['file', 'directory', 'symlink'].includes(action.kind)) create(root, fresh, action);
  else if (existing !== undefined) change(root, existing, fresh, action);
}

function create(root: string, path: string, { kind, content, mode, seconds, at }: TreeAction): void {
  const full = fsPath(root, path);
  if (kind === 'directory') {
    if (!fs.lstatSync(full, { throwIfNoEntry: false })?.isDirectory()) {
      fs.rmSync(full, { force: true });
      fs.mkdirSync(full);
    }
    return;
  }
  fs.rmSync(full, { recursive: true, force: true });
  if (kind === 'symlink') {
    const target = pick(['../a', '/etc/passwd', 'no\xffwhere', '.', 'a/b/c'], at) ?? '.';
    fs.symlinkSync(Buffer.from(target, 'latin1'), full);
    return;
  }
  fs.writeFileSync(full, content);
  fs.chmodSync(full, mode);
  fs.utimesSync(full, seconds, seconds);
}

function change(root: string, existing: string, fresh: string, { kind, content, mode, seconds }: TreeAction): void {
  const full = fsPath(root, existing);
  const facts = fs.lstatSync(full);
  if (kind === 'delete') fs.rmSync(full, { recursive: true });
  else if (kind === 'mode' && !facts.isSymbolicLink()) fs.chmodSync(full, facts.isDirectory() ? mode | 0o700 : mode);
  else if (kind === 'touch') fs.lutimesSync(full, seconds, seconds);
  else if (kind === 'append' && facts.isFile()) fs.appendFileSync(full, content);
  else if (kind === 'link' && facts.isFile() && existing !== fresh) {
    if (fs.lstatSync(fsPath(root, fresh), { throwIfNoEntry: false }) === undefined)
      fs.linkSync(full, fsPath(root, fresh));
  } else if (
    kind === 'rename' &&
    existing !== fresh &&
    !fresh.startsWith(`${existing}/`) &&
    !existing.startsWith(`${fresh}/`)
  ) {
    fs.rmSync(fsPath(root, fresh), { recursive: true, force: true });
    if (fs.lstatSync(full, { throwIfNoEntry: false }) !== undefined) fs.renameSync(full, fsPath(root, fresh));
  }
}

/** Every path below the root in order of its bytes, as Latin-1. */
function listTree(root: string, directory = ''): readonly string[] {
  const names = fs.readdirSync(fsPath(root, directory), { encoding: 'latin1', withFileTypes: true });
  const paths = names.flatMap((entry) => {
    const path = directory === '' ? entry.name : `${directory}/${entry.name}`;
    return entry.isDirectory() ? [path, ...listTree(root, path)] : [path];
  });
  return directory === '' ? paths.toSorted((one, other) => (one < other ? -1 : 1)) : paths;
}

function fsPath(root: string, path: string): Buffer {
  return path === '' ? Buffer.from(root) : Buffer.concat([Buffer.from(`${root}/`), Buffer.from(path, 'latin1')]);
}

function pick<T>(list: readonly T[], number: number): T | undefined {
  return list[number % Math.max(1, list.length)];
}

import { readFile, stat } from 'node:fs/promises';
import { OpencodeToolsError, type SandboxMount, isWithin } from '@opencode-tools/core';

/** One line of `/proc/self/mountinfo`: what of which device is seen where. */
export interface MountLine {
  /** `major:minor` of the file system. */
  readonly device: string;
  /** What of the file system is mounted. */
  readonly root: string;
  /** Where. */
  readonly point: string;
}

/** Parses `/proc/<pid>/mountinfo` (proc_pid_mountinfo(5)); later lines cover earlier ones at the same place. */
export function parseMounts(text: string): readonly MountLine[] {
  return text.split('\n').flatMap((line) => {
    const [, , device, root, point] = line.split(' ');
    if (device === undefined || root === undefined || point === undefined) return [];
    return [{ device, root: unescaped(root), point: unescaped(point) }];
  });
}

/**
 * Compares what a started container sees at the places of its host directories with what was judged before: between the two,
 * whoever can write near a source may have put a link in its place.
 *
 * @param inside `/proc/self/mountinfo` as read in the container
 * @param own the same of this host
 * @throws OpencodeToolsError `OCT_POLICY_DENIED`
 */
export function assertSameMounts(mounts: readonly SandboxMount[], inside: string, own: string): void {
  const binds = mounts.flatMap((mount) => (mount.kind === 'bind' ? [mount] : []));
  const other = otherMount(binds, inside, own);
  if (other === undefined) return;
  throw new OpencodeToolsError('OCT_POLICY_DENIED', `What is mounted at ${other.target} is not ${other.source}`, {
    remedy: 'Something replaced the directory while the sandbox was made. Look who writes there, then try again.',
    details: { source: other.source, target: other.target },
  });
}

export interface MountedPath {
  readonly source: string;
  readonly target: string;
}

/** The first place at which something else is mounted than its path names. @param inside, own as `assertSameMounts` takes them */
export function otherMount(mounts: readonly MountedPath[], inside: string, own: string): MountedPath | undefined {
  const seen = parseMounts(inside);
  const host = parseMounts(own);
  return mounts.find(({ source, target }) => {
    const there = seen.findLast(({ point }) => point === target);
    const meant = placeOf(source, host);
    return there === undefined || there.device !== meant?.device || there.root !== meant.root;
  });
}

/** True where host and engine see the same files: the mounts of an engine in a virtual machine cannot be compared. */
export async function sharesFiles(engineSocket: string | undefined): Promise<boolean> {
  if (process.platform !== 'linux' || engineSocket === undefined) return false;
  return stat(engineSocket).then(
    (facts) => facts.isSocket(),
    () => false,
  );
}

export async function ownMounts(): Promise<string> {
  return readFile('/proc/self/mountinfo', 'utf8');
}

/** Where a path lies in its file system. */
function placeOf(path: string, host: readonly MountLine[]): { device: string; root: string } | undefined {
  let best: MountLine | undefined;
  for (const line of host) {
    if (isWithin(path, line.point) && line.point.length >= (best?.point.length ?? 0)) best = line;
  }
  if (!best) return undefined;
  const below = best.point === '/' ? path : path.slice(best.point.length);
  const root = `${best.root === '/' ? '' : best.root}${below === '/' ? '' : below}` || '/';
  return { device: best.device, root };
}

function unescaped(field: string): string {
  return field.replaceAll(/\\([0-7]{3})/g, (_all, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

import type { BlobReader } from './blob-reader.ts';
import type { BytePath } from './byte-path.ts';
import { findShape, shapeOf } from './file-shape.ts';
import { mostMergedBytes } from './merge-lines.ts';
import { readUnfollowed } from './open-unfollowed.ts';
import type { WorkChange } from './review-work.ts';
import { findNode } from './scan-directory.ts';
import type { TreeEntry } from './tree-entry.ts';

interface Place {
  readonly root: BytePath;
  readonly blobs: BlobReader;
}

/**
 * Says why a path that is neither as the task found it nor as it left it cannot be brought in. Line ends and modes, which git converts or
 * does not look at where it is told so, are no changes of the user's.
 */
export function conflictReason(place: Place, { path, before, after }: WorkChange): string {
  const from = differences(place, path, before);
  if (after === undefined)
    return isSlight(from)
      ? `removed in the task; has ${listed(from)} here, and no other change`
      : 'removed in the task, changed here';
  const to = differences(place, path, after);
  if (before === undefined) return `exists here with ${isSlight(to) ? listed(to) : 'other content'}`;
  if (isSlight(to)) return `is here as the task left it, but for ${listed(to)}`;
  if (isSlight(from)) return `changed in the task; has ${listed(from)} here, and no other change`;
  return findNode(place.root, path) === undefined
    ? 'changed in the task, removed here'
    : 'changed in the task and here';
}

type Difference = 'other line ends' | 'another mode' | 'other content';

function isSlight(found: readonly Difference[]): boolean {
  return !found.includes('other content');
}

function listed(found: readonly Difference[]): string {
  return found.join(' and ');
}

function differences({ root, blobs }: Place, path: BytePath, entry: TreeEntry | undefined): readonly Difference[] {
  const here = findShape(root, path);
  const shape = entry === undefined || entry.type === 'directory' ? undefined : shapeOf(entry);
  if (entry === undefined || here?.type !== 'file' || shape?.type !== 'file') return ['other content'];
  const mode: readonly Difference[] = here.executable === shape.executable ? [] : ['another mode'];
  if (here.digest === shape.digest) return mode;
  if (Math.max(here.size, shape.size) > mostMergedBytes) return ['other content'];
  const [ours, theirs] = [withoutReturns(readUnfollowed(`${root}/${path}`)), withoutReturns(blobs.read(entry))];
  return ours !== null && ours === theirs ? ['other line ends', ...mode] : ['other content'];
}

/** Null for what git takes for binary. */
function withoutReturns(content: Uint8Array): string | null {
  return content.includes(0) ? null : Buffer.from(content).toString('latin1').replaceAll('\r\n', '\n');
}

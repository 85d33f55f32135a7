import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { errnoOf } from '../home/home-file.ts';

const form = /^(?:home-)?(\d+)-[0-9a-f]{12}@([0-9a-f]{16})$/;

/** Names who projects: this process, and one object in it. Made when first needed, for most processes only read. */
export function projectionHolder(prefix: string): () => string {
  let name: string | undefined;
  return () => (name ??= `${prefix}${process.pid}-${randomBytes(6).toString('hex')}${suffix()}`);
}

/** Whether a holder is certain to write no more: a process of this boot, counted as we count them, that is gone. */
export function isDeadHolder(holder: string): boolean {
  const [, pid, place] = form.exec(holder) ?? [];
  if (pid === undefined || place !== placeOfPids()) return false;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return errnoOf(error) === 'ESRCH';
  }
}

function suffix(): string {
  const place = placeOfPids();
  return place === undefined ? '' : `@${place}`;
}

/** Where the numbers of processes mean what they mean here; undefined where that cannot be told. */
function placeOfPids(): string | undefined {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    const facts = `${boot} ${readlinkSync('/proc/self/ns/pid')}`;
    return createHash('sha256').update(facts).digest('hex').slice(0, 16);
  } catch {
    return undefined;
  }
}

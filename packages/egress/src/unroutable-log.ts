import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { deny } from './decide.ts';
import { decisionLine } from './decision-line.ts';

const appending = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW;

/** What was counted in a sandbox when it was last looked. */
export interface CountedPackets {
  readonly sandboxRef: string;
  readonly packets: number;
}

/** How many are new: a network that was made anew counts from 0. */
export function newPackets(before: CountedPackets | undefined, now: CountedPackets): number {
  const same = before?.sandboxRef === now.sandboxRef && before.packets <= now.packets;
  return now.packets - (same ? before.packets : 0);
}

/** Appends the one line about packets that nobody but the sandbox's own kernel saw. */
export async function logUnroutable(path: string, at: string, packets: number): Promise<void> {
  const what = `${packets} packet${packets === 1 ? '' : 's'} to where no route leads`;
  const reason = 'the gateway is all that a sandbox reaches, by TCP and names';
  const ask = 'use host names, through the proxy variables or without, and have a rule for each';
  const request = { host: '*', port: 0 };
  const line = decisionLine(at, request, deny('no-route', what, reason, ask), 'ip', packets);
  await using file = await open(path, appending, 0o600);
  await file.appendFile(line);
}

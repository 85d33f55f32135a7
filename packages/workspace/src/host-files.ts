import type { HostFiles } from '@opencode-tools/core';
import { packHost } from './pack-host.ts';
import { unpackHost } from './unpack-host.ts';

/** Trees of this machine's file system. */
export function createHostFiles(): HostFiles {
  return { pack: packHost, unpack: unpackHost };
}

import { readFileSync, statfsSync } from 'node:fs';
import { OpencodeToolsError } from '@opencode-tools/core';

/** `f_type` of statfs(2) of file systems whose locks and shared memory other hosts do not see (linux/magic.h). */
const networkTypes: Readonly<Record<number, string>> = {
  0x6969: 'nfs',
  0x517b: 'smb',
  0xff534d42: 'cifs',
  0xfe534d42: 'smb2',
  0x00c36400: 'ceph',
  0x5346414f: 'afs',
  0x73757245: 'coda',
  0x01021997: '9p',
  0x0bd00bd0: 'lustre',
};
const fuseType = 0x65735546;
const networkFuse =
  /^fuse\.(?:sshfs|s3fs|rclone|glusterfs|gcsfuse|goofys|davfs2?|smbnetfs|curlftpfs|blobfuse2?|cephfs)$/;

/**
 * Names the network file system that a directory lies on, or null.
 *
 * @param type `f_type` as statfs gives it
 * @param mountType type in the mount table; needed to tell FUSE file systems apart
 */
export function networkFilesystem(type: number, mountType: string | null): string | null {
  const known = networkTypes[type >>> 0];
  if (known !== undefined) return known;
  if (mountType === null) return null;
  if (type >>> 0 === fuseType && networkFuse.test(mountType)) return mountType;
  return null;
}

/** @throws OpencodeToolsError `OCT_INVALID_CONFIG` when the directory lies on a network file system. */
export function refuseNetworkFilesystem(directory: string): void {
  const type = statfsSync(directory).type;
  const name = networkFilesystem(type, type >>> 0 === fuseType ? mountTypeOf(directory) : null);
  if (name === null) return;
  throw new OpencodeToolsError(
    'OCT_INVALID_CONFIG',
    `The home directory ${directory} lies on a network file system (${name})`,
    {
      remedy: 'Choose a home on a local disk, or share a registry between hosts on PostgreSQL.',
      details: { directory, filesystem: name },
    },
  );
}

function mountTypeOf(directory: string): string | null {
  try {
    return mountTypeIn(readFileSync('/proc/self/mountinfo', 'utf8'), directory);
  } catch {
    return null;
  }
}

/** The type of the mount with the longest path that leads to the directory. */
export function mountTypeIn(mountinfo: string, directory: string): string | null {
  let best = { length: -1, type: null as string | null };
  for (const line of mountinfo.split('\n')) {
    const [before, after] = line.split(' - ');
    const point = before?.split(' ')[4]?.replaceAll('\\040', ' ');
    const type = after?.split(' ')[0];
    if (point === undefined || type === undefined) continue;
    const leads = point === '/' || directory === point || directory.startsWith(`${point}/`);
    if (leads && point.length >= best.length) best = { length: point.length, type };
  }
  return best.type;
}

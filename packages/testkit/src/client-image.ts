import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  copyFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** Programs that clients and servers of the tests need, with the libraries that they load. */
const programs = ['/usr/bin/curl', process.execPath];
const busybox = ['/bin/busybox', '/usr/bin/busybox'];

/**
 * Gives the root file system of an image with curl, Node and busybox of this host, and a user 1000, as a tar: clients of three
 * kinds, and whatever servers they are to reach.
 */
export function clientTree(): Buffer {
  const root = mkdtempSync(join(tmpdir(), 'oct-client-image-'));
  try {
    for (const name of ['tmp', 'etc', 'workspace', 'home/agent', 'bin', 'usr/bin', 'run'])
      mkdirSync(join(root, name), { recursive: true });
    for (const program of programs) place(root, program, `/usr/bin/${program.endsWith('curl') ? 'curl' : 'node'}`);
    const found = busybox.find((path) => existsSync(path));
    if (found === undefined) throw new Error('The engine tests need busybox: apt-get install busybox-static');
    copyFileSync(found, join(root, 'bin/busybox'));
    for (const applet of applets) symlinkSync('busybox', join(root, 'bin', applet));
    writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0::/root:/bin/sh\nagent:x:1000:1000::/home/agent:/bin/sh\n');
    writeFileSync(join(root, 'etc/nsswitch.conf'), 'hosts: files dns\n');
    execFileSync('chown', ['1000:1000', join(root, 'workspace'), join(root, 'home/agent')]);
    return execFileSync('tar', ['-C', root, '-c', '.'], { maxBuffer: 1024 ** 3 });
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

const applets =
  'sh cat echo env grep id ls mkdir nc nslookup ping ps rm sleep su setpriv setsid stat touch test true chown kill tr wc head tail ip find sort sha256sum md5sum cp mv ln mount umount chmod readlink dd printf sed awk cut'.split(
    ' ',
  );

function place(root: string, program: string, target: string): void {
  copyInto(root, program, target);
  const linked = execFileSync('ldd', [program], { encoding: 'utf8' });
  for (const [, path] of linked.matchAll(/(?:=> )?(\/\S+) \(0x/g)) if (path !== undefined) copyInto(root, path, path);
}

function copyInto(root: string, source: string, target: string): void {
  mkdirSync(dirname(join(root, target)), { recursive: true });
  copyFileSync(realpathSync(source), join(root, target));
}

import { chownSync, mkdirSync, mkdtempSync, readlinkSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SandboxHandle, SandboxPlan } from '@opencode-tools/core';
import { type TestEngine, openTestEngine, runIn, samplePlan } from '@opencode-tools/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openRuntime } from '../test/open-runtime.ts';
import { containerOptions } from './plan/container-options.ts';

let engine: TestEngine;
let runtime: ReturnType<typeof openRuntime>['runtime'];
let sandbox: SandboxHandle;
let scratch: string;
const plan = (change: Partial<SandboxPlan> = {}): SandboxPlan => samplePlan(engine.homeId, engine.imageId, change);

beforeAll(async () => {
  engine = await openTestEngine();
  ({ runtime } = openRuntime(engine.homeId));
  sandbox = await runtime.create(plan());
  scratch = realpathSync(mkdtempSync(join(tmpdir(), 'oct-hardening-')));
});
afterAll(async () => {
  await sandbox.destroy();
  await runtime.close();
  await engine.close();
  rmSync(scratch, { recursive: true });
});

describe('a sandbox of the defaults', () => {
  test('is shown by the engine as it should be', async () => {
    const shown = await engine.call<{ HostConfig: Record<string, unknown>; Config: Record<string, unknown> }>(
      'GET',
      `/containers/${sandbox.ref}/json`,
    );
    expect(shown.HostConfig).toMatchObject({
      Privileged: false,
      CapAdd: ['SETUID', 'SETGID', 'KILL'],
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
      NetworkMode: 'none',
      IpcMode: 'private',
      PidMode: '',
      UTSMode: '',
      UsernsMode: '',
      Binds: null,
      Devices: null,
      DeviceRequests: null,
      ExtraHosts: null,
      VolumesFrom: null,
      PortBindings: null,
      PublishAllPorts: false,
      Memory: 268_435_456,
      MemorySwap: 268_435_456,
      CpuPeriod: 100_000,
      CpuQuota: 200_000,
      PidsLimit: 128,
      OomKillDisable: false,
      Init: true,
      RestartPolicy: { Name: 'no', MaximumRetryCount: 0 },
      LogConfig: { Type: 'none' },
      // Newer engines mask more.
      MaskedPaths: expect.arrayContaining([
        '/proc/asound',
        '/proc/acpi',
        '/proc/kcore',
        '/proc/keys',
        '/proc/latency_stats',
        '/proc/timer_list',
        '/proc/timer_stats',
        '/proc/sched_debug',
        '/proc/scsi',
        '/sys/firmware',
      ]) as string[],
      ReadonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
    });
    expect(shown.Config).toMatchObject({ NetworkDisabled: true, Tty: false });
  });

  test('is seen by its commands as it should be', async () => {
    const script = `while read -r name value; do case $name in Uid:|Gid:|Cap*|NoNewPrivs:|Seccomp:) echo $name $value;; esac; done </proc/self/status
      echo limits $(cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max)
      echo devices $(cd /dev && for d in *; do [ -L $d ] && continue; [ -c $d ] || [ -b $d ] && echo $d; done | sort)
      echo interfaces $(ls /sys/class/net); echo routes $(tail -n +2 /proc/net/route)
      echo sockets $(find / -xdev -type s 2>/dev/null); echo kernel $(head -c 1 /proc/kcore 2>/dev/null | wc -c) $(echo x 2>/dev/null >/proc/sys/kernel/hostname || echo read-only)
      echo first $(cat /proc/1/comm); mount -t tmpfs x /mnt 2>/dev/null || echo no mount`;
    const { stdout } = await runIn(sandbox, script);
    expect(
      stdout
        .replaceAll(/[ \t]+/g, ' ')
        .trim()
        .split('\n'),
    ).toEqual([
      'Uid: 1000 1000 1000 1000',
      'Gid: 1000 1000 1000 1000',
      'CapInh: 0000000000000000',
      'CapPrm: 0000000000000000',
      'CapEff: 0000000000000000',
      expect.stringMatching(/^CapBnd: 00000000000000e0$/),
      'CapAmb: 0000000000000000',
      'NoNewPrivs: 1',
      'Seccomp: 2',
      'limits 268435456 128',
      'devices full null random tty urandom zero',
      'interfaces lo',
      'routes',
      'sockets',
      'kernel 0 read-only',
      'first docker-init',
      'no mount',
    ]);
  });

  test('has namespaces of its own', async () => {
    const { stdout } = await runIn(sandbox, 'for n in mnt pid net ipc uts; do readlink /proc/self/ns/$n; done');
    const own = stdout.trim().split('\n');
    expect(own).toHaveLength(5);
    for (const link of own) {
      const [name = ''] = link.split(':');
      expect(link).not.toBe(readlinkSync(`/proc/self/ns/${name}`));
    }
  });
});

describe('a directory of the host', () => {
  const bind = (source: string, target = '/workspace') =>
    ({ mounts: [{ kind: 'bind', source, target, readOnly: false }] }) as const;

  test('is what is mounted, and can be worked in', async () => {
    const project = join(scratch, 'project');
    mkdirSync(project);
    if (process.getuid?.() === 0) chownSync(project, 1000, 1000);
    const bound = await runtime.create(plan(bind(project)));
    expect(await runIn(bound, 'pwd; echo x >file; cat file')).toMatchObject({ stdout: '/workspace\nx\n' });
    await bound.destroy();
  });

  test('that was swapped for another one after it was judged is noticed before any command', async () => {
    for (const name of ['judged', 'other']) mkdirSync(join(scratch, name));
    const judged = plan(bind(join(scratch, 'judged')));
    // What an engine would have mounted, had somebody put a link in the place of the directory.
    const swapped = containerOptions({ ...judged, ...bind(join(scratch, 'other')) }, 'amd64');
    const { Id: id } = await engine.call<{ Id: string }>('POST', `/containers/create?name=${judged.name}`, swapped);
    await expect(runtime.create(judged)).rejects.toMatchObject({ code: 'OCT_POLICY_DENIED' });
    await engine.call('DELETE', `/containers/${id}?force=1`);
  });
});

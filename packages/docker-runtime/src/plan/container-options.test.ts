import type { SandboxPlan } from '@opencode-tools/core';
import { samplePlan } from '@opencode-tools/testkit';
import { describe, expect, test } from 'vitest';
import { containerOptions } from './container-options.ts';
import { labelKeys } from './labels.ts';

const plan = (change: Partial<SandboxPlan> = {}): SandboxPlan => samplePlan('hom_1', 'sha256:image', change);
const options = (change: Partial<SandboxPlan> = {}) =>
  containerOptions(plan(change), 'amd64') as Record<string, unknown> & { HostConfig: Record<string, unknown> };

describe('what a plan asks the engine for', () => {
  test('is hardened, whatever the plan says', () => {
    const { HostConfig, ...config } = options();
    expect(config).toMatchObject({
      Image: 'sha256:image',
      User: '0:0',
      Entrypoint: [],
      Healthcheck: { Test: ['NONE'] },
      StopSignal: 'SIGTERM',
      OpenStdin: true,
      StdinOnce: true,
      Tty: false,
    });
    expect(HostConfig).toMatchObject({
      Privileged: false,
      CapDrop: ['ALL'],
      CapAdd: ['SETUID', 'SETGID', 'KILL'],
      SecurityOpt: ['no-new-privileges'],
      NetworkMode: 'none',
      IpcMode: 'private',
      Init: true,
      LogConfig: { Type: 'none', Config: {} },
      RestartPolicy: { Name: 'no' },
    });
    for (const key of [
      'PidMode',
      'UTSMode',
      'CgroupnsMode',
      'Devices',
      'Binds',
      'ExtraHosts',
      'PortBindings',
      'Sysctls',
    ]) {
      expect(HostConfig).not.toHaveProperty(key);
    }
  });

  test.each<readonly [string, Partial<SandboxPlan>, object]>([
    [
      'limits, swap included in memory',
      { limits: { memoryBytes: 64e6, cpus: 0.5, pids: 77, tmpBytes: 1e6 } },
      { Memory: 64e6, MemorySwap: 64e6, CpuPeriod: 100_000, CpuQuota: 50_000, PidsLimit: 77 },
    ],
    [
      'sizes and modes of what is in memory',
      { limits: { memoryBytes: 64e6, cpus: 1, pids: 16, tmpBytes: 1234 } },
      {
        Tmpfs: {
          '/tmp': 'rw,exec,nosuid,nodev,size=1234,mode=1777',
          '/run/oct': 'rw,exec,nosuid,nodev,size=83886080,mode=0755',
        },
      },
    ],
    [
      'a read-only root, with what programs write to in memory',
      { readOnlyRoot: true },
      {
        ReadonlyRootfs: true,
        Tmpfs: {
          '/run': 'rw,noexec,nosuid,nodev,size=16777216,mode=0755,uid=1000,gid=1000',
          '/var/tmp': 'rw,exec,nosuid,nodev,size=67108864,mode=1777',
        },
      },
    ],
    ['another runtime', { runtime: 'runsc' }, { Runtime: 'runsc' }],
    [
      'a volume without what the image has at its place',
      { mounts: [{ kind: 'volume', volume: 'v', target: '/workspace', readOnly: false }] },
      {
        Mounts: [
          { Type: 'volume', Source: 'v', Target: '/workspace', ReadOnly: false, VolumeOptions: { NoCopy: true } },
        ],
      },
    ],
    [
      'a directory of the host, kept apart from later mounts',
      { mounts: [{ kind: 'bind', source: '/src', target: '/src', readOnly: true }] },
      {
        Mounts: [
          { Type: 'bind', Source: '/src', Target: '/src', ReadOnly: true, BindOptions: { Propagation: 'rprivate' } },
        ],
      },
    ],
  ])('has %s', (_title, change, expected) => {
    expect(options(change).HostConfig).toMatchObject(expected);
  });

  test('switches the network off for good, or so that one can be connected', () => {
    expect(options({ networkMode: 'fixed-none' })).toMatchObject({
      NetworkDisabled: true,
      HostConfig: { NetworkMode: 'none' },
    });
    expect(options({ networkMode: 'upgradable' })).toMatchObject({
      NetworkDisabled: false,
      HostConfig: { NetworkMode: 'none' },
    });
    expect(options({ networkMode: 'fixed-none', readOnlyRoot: true })).toMatchObject({ NetworkDisabled: false });
    expect(options({ networkMode: 'policy' })).toMatchObject({
      NetworkDisabled: false,
      HostConfig: { NetworkMode: 'none' },
    });
  });

  test('sets every label, so that none comes from the image', () => {
    const made = plan();
    expect(containerOptions(made, 'amd64').Labels).toEqual({
      [labelKeys.home]: 'hom_1',
      [labelKeys.task]: made.taskId,
      [labelKeys.operation]: made.operationId,
      [labelKeys.generation]: '1',
      [labelKeys.kind]: 'sandbox',
      [labelKeys.version]: '1',
      [labelKeys.owner]: '',
      [labelKeys.inputs]: '',
      [labelKeys.recipe]: '',
      [labelKeys.base]: '',
    });
  });

  test.each([
    [0, 1000],
    [1000, 0],
  ])('is nothing for commands as %i:%i', (uid, gid) => {
    expect(() => options({ user: { uid, gid } })).toThrow(expect.objectContaining({ code: 'OCT_INVALID_ARGUMENT' }));
  });
});

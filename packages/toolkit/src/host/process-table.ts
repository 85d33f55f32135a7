import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import type { ProcessRef, ProcessTable } from '@opencode-tools/core';

/** What a platform knows about its processes. */
interface ProcessFacts {
  hostId(): string;
  /** Changes with every boot. */
  bootId(): string;
  /** Pids mean the same thing only within one space. */
  pidSpace(): string;
  /** Null when no such process runs; an empty text when it runs and nothing tells when it began. */
  startOf(pid: number): string | null;
}

/**
 * Tells processes of this host apart: on Linux from /proc, elsewhere from ps and kill. Facts about this process are
 * gathered once.
 */
export function createProcessTable(platform: NodeJS.Platform = process.platform): ProcessTable {
  const facts = platform === 'linux' ? linuxFacts : portableFacts(platform);
  let own: ProcessRef | undefined;
  const self = (): ProcessRef =>
    (own ??= {
      hostId: facts.hostId(),
      bootId: `${facts.bootId()}/${facts.pidSpace()}`,
      pid: process.pid,
      startedAt: facts.startOf(process.pid) ?? '',
    });
  return {
    self,
    isAlive: (other) => {
      const here = self();
      if (other.hostId !== here.hostId) return true;
      const [otherBoot, otherSpace] = other.bootId.split('/');
      const [boot, space] = here.bootId.split('/');
      if (otherBoot !== boot) return false;
      // A container on the same kernel has pids of its own, and nothing here can look into it.
      if (otherSpace !== space) return true;
      const startedAt = facts.startOf(other.pid);
      if (startedAt === null) return false;
      return startedAt === '' || other.startedAt === '' || startedAt === other.startedAt;
    },
  };
}

const linuxFacts: ProcessFacts = {
  hostId: () => digest(readText('/etc/machine-id') || hostname()),
  bootId: () => readText('/proc/sys/kernel/random/boot_id') || 'unknown',
  pidSpace: () => {
    try {
      return readlinkSync('/proc/self/ns/pid').replaceAll(/[^\d]/g, '');
    } catch {
      return 'unknown';
    }
  },
  startOf: (pid) => {
    const stat = readText(`/proc/${pid}/stat`);
    // The command name may hold spaces and parentheses; fields count from the last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [state, startTime] = [fields[0], fields[19]];
    return startTime === undefined || state === 'Z' || state === 'X' ? null : startTime;
  },
};

function portableFacts(platform: NodeJS.Platform): ProcessFacts {
  return {
    hostId: () => digest(hostname()),
    bootId: () => (platform === 'darwin' ? digest(runForText('sysctl', ['-n', 'kern.boottime'])) : 'unknown'),
    pidSpace: () => 'host',
    startOf: (pid) => {
      if (!answersSignal(pid)) return null;
      return platform === 'win32' ? '' : startByPs(pid);
    },
  };
}

function startByPs(pid: number): string | null {
  const [state = '', ...started] = runForText('ps', ['-o', 'state=,lstart=', '-p', String(pid)]).split(/\s+/);
  return state.startsWith('Z') ? null : started.join(' ');
}

function answersSignal(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function runForText(command: string, args: readonly string[]): string {
  // Loaded here: Linux never needs it, and it would cost a millisecond of every start.
  const { spawnSync } = process.getBuiltinModule('node:child_process');
  const { stdout } = spawnSync(command, args, {
    encoding: 'utf8',
    timeout: 5_000,
    env: { PATH: '/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C', TZ: 'UTC' },
  });
  return (stdout ?? '').trim();
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return '';
  }
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

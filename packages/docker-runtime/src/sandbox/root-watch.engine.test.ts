import { type SandboxHandle, type SandboxPlan, silentLogger } from '@opencode-tools/core';
import { type TestEngine, openTestEngine, runIn, samplePlan, until } from '@opencode-tools/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openRuntime } from '../../test/open-runtime.ts';
import { Containers } from '../engine/containers.ts';
import { Engine } from '../engine/engine.ts';
import { SandboxLink } from './sandbox-link.ts';

let engine: TestEngine;
let runtime: ReturnType<typeof openRuntime>['runtime'];
let imageId: string;

beforeAll(async () => {
  engine = await openTestEngine();
  ({ runtime } = openRuntime(engine.homeId));
  const made = await runtime.create(samplePlan(engine.homeId, engine.imageId));
  await run(
    made,
    'cd ~; mkdir -p there/below private; echo x >there/file; echo x >there/below/file; chmod 0700 private',
  );
  const labels = { 'io.opencode-tools.home': engine.homeId };
  ({ imageId } = await made.snapshotRoot({ tag: `opencode-tools/root-test:${engine.homeId.slice(-12)}`, labels }));
  await made.destroy();
});
afterAll(async () => {
  await engine.call('DELETE', `/images/${imageId}`);
  await runtime.close();
  await engine.close();
});

const withSandbox = async (use: (sandbox: SandboxHandle) => Promise<void>, change: Partial<SandboxPlan> = {}) => {
  const sandbox = await runtime.create(samplePlan(engine.homeId, imageId, change));
  try {
    await use(sandbox);
  } finally {
    await sandbox.destroy();
  }
};

async function run(sandbox: SandboxHandle, script: string): Promise<void> {
  expect(await runIn(sandbox, script)).toMatchObject({ exitCode: 0 });
}

/** As nobody in a sandbox can, with the engine's own rights. */
async function asRoot(sandbox: SandboxHandle, script: string): Promise<void> {
  const command = { Cmd: ['/bin/sh', '-c', script], User: '0:0' };
  const { Id } = await engine.call<{ Id: string }>('POST', `/containers/${sandbox.ref}/exec`, command);
  await engine.call('POST', `/exec/${Id}/start`, { Detach: true });
}

describe('a root file system', () => {
  test('is proven untouched while commands read it, and write elsewhere', async () => {
    await withSandbox(async (sandbox) => {
      expect(await sandbox.rootIsUntouched()).toBe(true);
      await run(sandbox, 'cat /home/agent/there/file; ls -R /home/agent; echo x >/tmp/file');
      expect(await sandbox.rootIsUntouched()).toBe(true);
      expect(await sandbox.rootChanges()).toEqual([]);
    });
  });

  test.each([
    ['a file is made', 'echo x >there/new'],
    ['a file is made and removed', 'echo x >there/new; rm there/new'],
    ['a file is written into', 'echo x >>there/file'],
    ['a file deep down is written into', 'echo x >>there/below/file'],
    ['a file has another mode', 'chmod 0600 there/below/file'],
    ['a file has another time', 'touch there/below/file'],
    ['a file has another name', 'mv there/below/file there/below/other'],
    ['a file has a further name', 'ln there/below/file there/below/other'],
    ['a file is gone', 'rm there/below/file'],
    ['a directory is made', 'mkdir there/below/new'],
    ['a directory is gone', 'rm -r there/below'],
    ['a directory has another mode', 'chmod 0700 there/below'],
    ['something is made where only its owner looks', 'mkdir private/new'],
    ['something is made where nobody looks any more', 'echo x >private/new; chmod 0 private'],
    ['times are made to look old', 'echo x >>there/file; touch -d "2001-01-01 00:00:00" there/file there .'],
  ])('is not proven untouched once %s', async (_what, script) => {
    await withSandbox(async (sandbox) => {
      expect(await sandbox.rootIsUntouched()).toBe(true);
      await run(sandbox, `cd ~ && ${script}`);
      expect(await sandbox.rootIsUntouched()).toBe(false);
      expect(await sandbox.rootIsUntouched()).toBe(false);
    });
  });

  test('can be proven untouched again once the engine listed nothing, files that were read for writing included', async () => {
    await withSandbox(async (sandbox) => {
      await run(sandbox, ': >>/home/agent/there/file');
      await sandbox.stop(0);
      await sandbox.start();
      expect(await sandbox.rootIsUntouched()).toBe(false);
      expect(await sandbox.rootChanges()).toEqual([]);
      expect(await sandbox.rootIsUntouched()).toBe(true);
      await run(sandbox, 'echo y >>/home/agent/there/file');
      expect(await sandbox.rootIsUntouched()).toBe(false);
      expect(await sandbox.rootChanges()).toContainEqual({ path: '/home/agent/there/file', change: 'modified' });
      expect(await sandbox.rootIsUntouched()).toBe(false);
    });
  });

  test.each([
    ['is another distance from the one that is never set', 'echo 0 0 >/run/oct/root'],
    ['is not waited for any more', 'rm /run/oct/clock'],
  ])('is not proven untouched when the clock %s', async (_what, script) => {
    await withSandbox(async (sandbox) => {
      expect(await sandbox.rootIsUntouched()).toBe(true);
      await asRoot(sandbox, script);
      await until(async () => !(await sandbox.rootIsUntouched()));
    });
  });

  test('is not proven untouched of what is paused, stopped or started again', async () => {
    await withSandbox(async (sandbox) => {
      await sandbox.pause();
      expect(await sandbox.rootIsUntouched()).toBe(false);
      await sandbox.unpause();
      expect(await sandbox.rootIsUntouched()).toBe(true);
      await run(sandbox, 'echo x >/home/agent/new');
      await sandbox.stop(0);
      expect(await sandbox.rootIsUntouched()).toBe(false);
      await sandbox.start();
      expect(await sandbox.rootIsUntouched()).toBe(false);
    });
  });

  test('is proven untouched while commands have all lanes, when that is insisted on', async () => {
    await withSandbox(async (sandbox) => {
      const running = runIn(sandbox, 'until [ -e /tmp/end ]; do sleep 0.02; done');
      await until(async () => !(await sandbox.rootIsUntouched()));
      expect(await sandbox.rootIsUntouched({ insists: true })).toBe(true);
      await run(sandbox, ': >/tmp/end');
      expect(await running).toMatchObject({ exitCode: 0 });
    });
  });

  test('is not proven untouched by a maker who comes to mark it when commands have run', async () => {
    await withSandbox(async (sandbox) => {
      await run(sandbox, 'echo x >/home/agent/new');
      const { client } = await new Engine(process.env).find();
      const user = { uid: 1000, gid: 1000, pids: null, hasShell: true };
      const link = new SandboxLink(new Containers(client), sandbox.ref, user, silentLogger);
      await link.connect();
      expect(await link.askOfRoot(true, 'made')).toBe(false);
      link.close();
      expect(await sandbox.rootIsUntouched()).toBe(false);
    });
  });

  test('that is read-only is untouched, which nobody needs to be asked', async () => {
    await withSandbox(
      async (sandbox) => {
        await sandbox.pause();
        expect(await sandbox.rootIsUntouched()).toBe(true);
        expect(await sandbox.rootChanges()).toEqual([]);
        await sandbox.unpause();
      },
      { readOnlyRoot: true },
    );
  });
});

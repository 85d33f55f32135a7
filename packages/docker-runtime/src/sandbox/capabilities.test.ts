import { samplePlan } from '@opencode-tools/testkit';
import { describe, expect, test } from 'vitest';
import { assertCapable, capabilitiesOf } from './capabilities.ts';

const info = {
  SecurityOptions: ['name=seccomp,profile=default', 'name=rootless'],
  MemoryLimit: true,
  CpuCfsQuota: true,
  PidsLimit: true,
  Runtimes: { runc: {}, runsc: {} },
  Driver: 'overlay2',
  CgroupVersion: '2',
  Plugins: { Network: ['bridge', 'host', 'null'] },
};
const read = (change: object = {}) =>
  capabilitiesOf({ ...info, ...change }, { Version: '28.0', Arch: 'amd64', ApiVersion: '1.48' }, 'unix:///x');

describe('what an engine can do', () => {
  test('is read off its answers', () => {
    expect(read()).toMatchObject({
      engine: { name: 'Docker Engine', version: '28.0', apiVersion: '1.48', rootless: true, endpoint: 'unix:///x' },
      limits: { memory: true, cpu: true, pids: true, disk: false },
      seccomp: true,
      noRoute: true,
      runtimes: ['runc', 'runsc'],
      cgroupVersion: '2',
      imagesWithoutShell: 'programs',
    });
  });

  test.each([
    ['without a system call filter', { SecurityOptions: null }, {}, 'seccomp'],
    ['without containers that have no route', { Plugins: { Network: ['bridge'] } }, {}, 'noRoute'],
    ['that cannot limit memory', { MemoryLimit: false }, {}, 'memory'],
    ['that cannot limit processes', { PidsLimit: false }, {}, 'pids'],
    ['without the runtime', {}, { runtime: 'kata' }, 'runtime'],
  ])('is not enough %s', (_title, change, plan, capability) => {
    const wanted = samplePlan('hom_1', 'sha256:x', plan);
    expect(() => assertCapable(read(change), wanted, true)).toThrow(
      expect.objectContaining({ code: 'OCT_CAPABILITY_UNSUPPORTED', details: { capability } }),
    );
  });

  test('may be less than all limits when configuration says so', () => {
    const wanted = samplePlan('hom_1', 'sha256:x', { runtime: 'runsc' });
    expect(() => assertCapable(read({ MemoryLimit: false, PidsLimit: false }), wanted, false)).not.toThrow();
  });
});

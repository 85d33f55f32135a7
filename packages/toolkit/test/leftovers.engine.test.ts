import { createIds, systemClock } from '@opencode-tools/core';
import { expect, test } from 'vitest';
import { createTestHome, tester as call } from './support/test-home.ts';

test('doctor names volumes, helper containers and root images that nothing knows, and removes none', async () => {
  const home = await createTestHome();
  const open = await home.open();
  try {
    const task = await open.services.tasks.create({ title: 'known', image: home.image }, call);
    const command = { kind: 'script', script: 'echo x >/opt/x' } as const;
    await open.services.executions.run(task.id, { command }, call);
    await open.services.checkpoints.create(task.id, { name: 'saved' }, call);
    const subjects = async (): Promise<readonly string[]> =>
      (await open.services.doctor.run(call)).findings
        .filter(({ severity, message }) => severity === 'warning' && message.startsWith('This '))
        .map(({ subject }) => subject)
        .sort();
    expect(await subjects()).toEqual([]);

    const name = `oct-left-${createIds(systemClock).random().slice(0, 12)}`;
    const homeLabel = `io.opencode-tools.home=${open.homeId}`;
    const kind = (of: string): readonly string[] => ['--label', homeLabel, '--label', `io.opencode-tools.kind=${of}`];
    await home.docker('volume', 'create', ...kind('workspace'), name);
    await home.docker('create', '--name', `${name}-helper`, ...kind('helper'), home.image, 'true');
    const changes = [
      `LABEL ${homeLabel}`,
      'LABEL io.opencode-tools.kind=root',
      `LABEL io.opencode-tools.task=${task.id}`,
    ];
    const helper = `${name}-helper`;
    await home.docker('commit', ...changes.flatMap((change) => ['--change', change]), helper, `${name}:root`);
    expect(await subjects()).toEqual([name, `${name}-helper`, `${name}:root`]);
    expect(await subjects()).toHaveLength(3);
  } finally {
    await open.close();
    await home.remove();
  }
});

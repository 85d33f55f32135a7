import type { ServiceDependencies, Task } from '@opencode-tools/core';
import { egressGatewayContract } from '@opencode-tools/testkit';
import { callBy } from './support/home-without-engine.ts';
import { createTestHome } from './support/test-home.ts';

egressGatewayContract('The gateway of a home', async () => {
  const home = await createTestHome();
  let ports: ServiceDependencies | undefined;
  const decorate = (given: ServiceDependencies): ServiceDependencies => (ports = given);
  const open = await home.open({ decorate });
  if (ports === undefined) throw new Error('The home was opened without its ports');
  const { egress: gateway, tasks } = ports;
  const { services } = open;
  const ada = callBy('ada');
  const image = await home.engine.clientImage();
  const run = async (task: Task, script: string): Promise<string> => {
    const { stdout } = await services.executions.run(task.id, { command: { kind: 'script', script } }, ada);
    return stdout.text;
  };
  return {
    gateway,
    newTask: (network) => services.tasks.create({ title: 'outside', image, network }, ada),
    run,
    sandboxOf: async (task) => {
      await run(task, 'true');
      return (await tasks.findSandbox(task.id))?.ref ?? '';
    },
    close: async () => {
      await open.close();
      await home.remove();
    },
  };
});

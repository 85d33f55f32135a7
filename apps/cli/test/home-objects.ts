import type { TestEngine } from '@opencode-tools/testkit';
import type { Cli } from './run-bin.ts';

/** What an engine has of the home of a command line. */
export interface HomeObjects {
  /** Containers and volumes of tasks, by name. */
  readonly ofTasks: readonly string[];
  /** The volume of the layers, which has the last checkpoints of deleted tasks as well. */
  readonly layers: readonly string[];
}

const label = 'io.opencode-tools';

export async function homeObjects(engine: TestEngine, cli: Cli): Promise<HomeObjects> {
  const of = await filterOf(cli);
  const found = await engine.call<{ Names: string[] }[]>('GET', `/containers/json?all=1&filters=${of}`);
  const { Volumes } = await engine.call<{ Volumes: Volume[] | null }>('GET', `/volumes?filters=${of}`);
  const layers = (Volumes ?? []).filter(({ Labels }) => Labels?.[`${label}.kind`] === 'layers');
  const others = (Volumes ?? []).filter((volume) => !layers.includes(volume));
  return {
    ofTasks: [...found.flatMap(({ Names }) => Names), ...others.map(({ Name }) => Name)],
    layers: layers.map(({ Name }) => Name),
  };
}

/** Removes what checkpoints of deleted tasks keep: their layers, and root file systems as images. */
export async function removeCheckpoints(engine: TestEngine, cli: Cli): Promise<void> {
  const images = await engine.call<{ Id: string }[]>('GET', `/images/json?filters=${await filterOf(cli)}`);
  for (const { Id } of images) await engine.call('DELETE', `/images/${encodeURIComponent(Id)}?force=1`);
  const { layers } = await homeObjects(engine, cli);
  for (const name of layers) await engine.call('DELETE', `/volumes/${name}`);
}

interface Volume {
  readonly Name: string;
  readonly Labels: Readonly<Record<string, string>> | null;
}

async function filterOf(cli: Cli): Promise<string> {
  const { homeId } = await cli.json<{ homeId: string }>(['db', 'status']);
  return encodeURIComponent(JSON.stringify({ label: [`${label}.home=${homeId}`] }));
}

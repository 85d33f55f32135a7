import type { LayerCapability, LayerPort } from '@opencode-tools/core';
import type { Engine } from '../engine/engine.ts';
import type { DockerLayersOptions } from './docker-layers.ts';
import { firstImage, mountedTarget, runOnce } from './layer-containers.ts';
import { layerPrograms } from './layer-programs.ts';
import { scriptWords } from './layer-requests.ts';
import { type LayerVolume, imagePath } from './layer-volume.ts';
import { rememberAble, tryLayers, whatItDependsOn, wasAble } from './probe-layers.ts';

interface Trial {
  readonly layers: LayerPort & { close(): Promise<void> };
  readonly volume: LayerVolume;
}

/** Tells whether an engine can stack layers: as it is remembered there, else by trying in a volume made for it. */
export async function findCapability(
  engine: Engine,
  options: DockerLayersOptions,
  open: (options: DockerLayersOptions) => Trial,
): Promise<LayerCapability> {
  const { toolImages, logger } = options;
  const client = await engine.client();
  const image = await firstImage(async (name) => client.call({ method: 'GET', path: imagePath(name) }), toolImages);
  if (image === undefined) return { able: false, reason: `the engine has none of the images ${toolImages.join(', ')}` };
  const { architecture } = await engine.find();
  if (layerPrograms[architecture] === undefined)
    return { able: false, reason: `no program of ours works on layers of an engine on ${architecture}` };
  const about = await whatItDependsOn(client);
  if (await wasAble(client, about)) return { able: true };
  const volume = `${options.volume}-trial-${Date.now().toString(36)}`;
  const capability = await tryIn(volume, open({ ...options, toolImages: [image], volume }));
  if (capability.able) await rememberAble(client, about);
  else logger.info('This engine cannot stack layers', { reason: capability.reason });
  return capability;
}

async function tryIn(prefix: string, { layers, volume }: Trial): Promise<LayerCapability> {
  try {
    const opened = await volume.open();
    const run = async (mounted: string, script: string): Promise<string> => {
      const container = volume.container(opened, scriptWords(script)) as { HostConfig: { Mounts: readonly object[] } };
      // Not for reading only, as views are.
      const view = { Type: 'volume', Source: mounted, Target: mountedTarget, VolumeOptions: { NoCopy: true } };
      const host = { ...container.HostConfig, Mounts: [...container.HostConfig.Mounts, view] };
      return (await runOnce(opened, { ...container, HostConfig: host })).toString('utf8');
    };
    return await tryLayers(layers, {
      prefix,
      labels: volume.labels,
      run,
      remove: async (name) => volume.removeOther(name),
    });
  } catch (error) {
    return { able: false, reason: error instanceof Error ? error.message : String(error) };
  } finally {
    await layers.close();
    await volume.remove();
  }
}

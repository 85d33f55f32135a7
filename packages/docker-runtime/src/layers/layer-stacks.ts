import { type LayerStack, OpencodeToolsError, type VolumeRecipe, stackLabel } from '@opencode-tools/core';
import { absentAsUndefined } from '../engine/containers.ts';
import type { EngineClient } from '../engine/engine-client.ts';
import { labelKeys } from '../plan/labels.ts';
import { overlayOptions, parseStack, stackText } from './layer-paths.ts';

/** How a volume of the stack is asked for, from an engine that has the volume of layers at the mountpoint. */
export function stackRecipe(mountpoint: string, stack: LayerStack): VolumeRecipe {
  return { labels: { [stackLabel]: stackText(stack) }, options: overlayOptions(mountpoint, stack) };
}

/** Makes a volume of the recipe, which must be a new one. */
export async function makeStack(
  client: EngineClient,
  volume: { readonly name: string; readonly labels: Readonly<Record<string, string>> },
  recipe: VolumeRecipe,
): Promise<void> {
  const labels = { ...volume.labels, ...recipe.labels };
  const body = { Name: volume.name, Driver: 'local', DriverOpts: recipe.options, Labels: labels };
  // An engine gives an existing volume of the name for a new one, with the options and labels it had.
  const made = await client.call<{ Labels: Readonly<Record<string, string>> | null }>({
    method: 'POST',
    path: '/volumes/create',
    body,
  });
  if (made.Labels?.[stackLabel] === recipe.labels[stackLabel]) return;
  throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', `The volume ${volume.name} exists already`, {
    details: { volume: volume.name },
  });
}

/** The stack of a volume; undefined for a volume without one. */
export async function findStack(client: EngineClient, volume: string): Promise<LayerStack | undefined> {
  const path = `/volumes/${encodeURIComponent(volume)}`;
  const found = await absentAsUndefined(
    client.call<{ Labels: Readonly<Record<string, string>> | null }>({ method: 'GET', path }),
  );
  return parseStack(found?.Labels?.[stackLabel]);
}

/** The stacks of all volumes of a home. */
export async function listStacks(client: EngineClient, homeId: string): Promise<readonly LayerStack[]> {
  const filters = JSON.stringify({ label: [`${labelKeys.home}=${homeId}`, stackLabel] });
  const answer = await client.call<{ Volumes: readonly { Labels: Readonly<Record<string, string>> }[] | null }>({
    method: 'GET',
    path: '/volumes',
    query: { filters },
  });
  return (answer.Volumes ?? []).flatMap(({ Labels }) => parseStack(Labels[stackLabel]) ?? []);
}

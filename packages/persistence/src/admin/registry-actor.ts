import type { Actor } from '@opencode-tools/core';

/** Who does what nobody asked for by name: the registry itself. */
export const registryActor: Actor = {
  kind: 'system',
  id: 'registry',
  agent: null,
  model: null,
  session: null,
  onBehalfOf: null,
};

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Clock,
  type EgressGateway,
  type Logger,
  type NetworkPort,
  OpencodeToolsError,
  type SecretResolver,
} from '@opencode-tools/core';
import { createEgressGateway } from '@opencode-tools/egress';
import type { Configuration } from '../configuration/load-configuration.ts';

/** The gateway of the home that the configuration names. */
export function wireEgress(options: {
  readonly configuration: Configuration;
  readonly networks: NetworkPort;
  readonly secrets: SecretResolver;
  readonly clock: Clock;
  readonly logger: Logger;
}): EgressGateway {
  const { configuration, ...rest } = options;
  const { home, egress, policies } = configuration;
  return createEgressGateway({
    ...rest,
    directory: join(home, 'egress'),
    policies,
    nameServers: egress.nameServers,
    image: egress.image,
    upstreamAuthorities: () => readAuthorities(egress.authorities),
  });
}

async function readAuthorities(file: string | null): Promise<string> {
  if (file === null) return '';
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new OpencodeToolsError('OCT_INVALID_CONFIG', `The certificates in ${file} cannot be read`, {
      remedy: 'Correct the key egress.authorities.',
      details: { key: 'egress.authorities', file },
      cause,
    });
  }
}

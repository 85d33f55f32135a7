import type { NetworkSpec } from '@opencode-tools/core';

/** What the gateway is told about one task: a file of the home, written whole and renamed into place. */
export interface TaskPolicy {
  readonly v: 1;
  readonly taskId: string;
  /** The gateway's own address in the task's network, and the sandbox's. */
  readonly gatewayAddress: string;
  readonly sandboxAddress: string;
  readonly network: NetworkSpec;
  /** Of the task when it was written: a process that knows an older one does not replace it. */
  readonly version: number;
  /** Names this content; the gateway repeats it when it is in force. */
  readonly digest: string;
}

/** What all tasks of a home share. */
export interface GatewaySettings {
  readonly v: 1;
  /** Name servers as `address` or `address:port`; empty for those of the container. */
  readonly nameServers: readonly string[];
  /** PEM certificates that servers of terminated hosts may be signed by, besides the public authorities; empty for none. */
  readonly upstreamAuthorities: string;
}

/** Ports of the gateway in every task's network. */
export const gatewayPorts = { dns: 53, proxy: 3128 } as const;

/** Reads a policy file. Anything unexpected is no policy. */
export function parsePolicy(text: string): TaskPolicy | undefined {
  try {
    const value = JSON.parse(text) as TaskPolicy;
    const texts = [value.taskId, value.gatewayAddress, value.sandboxAddress, value.digest];
    const whole = value.v === 1 && texts.every((one) => typeof one === 'string') && isNetwork(value.network);
    return whole ? value : undefined;
  } catch {
    return undefined;
  }
}

function isNetwork(network: NetworkSpec): boolean {
  const arrays = (rule: NetworkSpec['rules'][number]) => [rule.ports, rule.methods, rule.pathPrefixes];
  return (
    typeof network.mode === 'string' &&
    network.rules.every(
      (rule) => typeof rule.name === 'string' && typeof rule.host === 'string' && arrays(rule).every(Array.isArray),
    )
  );
}

/** Ports on which clients that know of no proxy find the gateway: those of the rules, and the usual two. */
export function transparentPorts(network: NetworkSpec): readonly number[] {
  const named = network.rules.flatMap((rule) => (rule.ports.length === 0 ? [443] : rule.ports));
  const own: readonly number[] = Object.values(gatewayPorts);
  return [...new Set([80, 443, ...named])].filter((port) => !own.includes(port));
}

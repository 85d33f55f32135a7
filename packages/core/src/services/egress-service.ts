import type { EgressRequest } from '../ports/egress-gateway.ts';
import type { Kernel } from './kernel.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { EgressService } from './services.ts';
import { setNetwork } from './set-network.ts';
import { integerBetween, invalid } from './validate.ts';

const defaultEntries = 100;
const mostEntries = 10_000;

export function createEgressService(kernel: Kernel, keeper: SandboxKeeper): EgressService {
  const { tasks, egress } = kernel.deps;
  return {
    check: async (taskId, url, options = {}) => {
      const { network } = (await tasks.getTask(taskId)).sandboxSpec;
      const request = requestOf(url, options.method);
      return { ...egress.decide(network, request), request };
    },
    named: (names) => egress.named(names),
    set: (taskId, options, call) => setNetwork(kernel, keeper, taskId, options, call),
    log: async (taskId, { limit = defaultEntries, deniedOnly = false } = {}) =>
      egress.readLog(taskId, { limit: integerBetween('limit', limit, 1, mostEntries), deniedOnly }),
  };
}

const schemePorts: Readonly<Record<string, number>> = {
  'http:': 80,
  'https:': 443,
  'ws:': 80,
  'wss:': 443,
  'ssh:': 22,
};

/** What a client would ask the gateway for to get an address; of TLS it sees the host only. */
function requestOf(text: string, method: string | undefined): EgressRequest {
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `https://${text}`);
  const port = Number(url?.port) || schemePorts[url?.protocol ?? ''];
  if (url === null || url.hostname === '' || port === undefined)
    throw invalid('url', `${JSON.stringify(text.slice(0, 200))} is no address`, 'Give https://host/path or host:port.');
  const plain = url.protocol === 'http:' || method !== undefined;
  const seen = { method: (method ?? 'GET').toUpperCase(), path: `${url.pathname}${url.search}` };
  return { host: url.hostname, port, ...(plain ? seen : {}) };
}

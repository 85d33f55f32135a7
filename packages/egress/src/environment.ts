import type { NetworkSpec } from '@opencode-tools/core';
import { type TaskPolicy, gatewayPorts } from './gateway/task-policy.ts';

const trustDirectory = '/run/opencode-tools';
/** Variables by which programs find a file of all the authorities that they are to know, and no others. */
const namesOfBundle = [
  'AWS_CA_BUNDLE',
  'BUNDLE_SSL_CA_CERT',
  'CARGO_HTTP_CAINFO',
  'CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE',
  'CURL_CA_BUNDLE',
  'GIT_SSL_CAINFO',
  'GRPC_DEFAULT_SSL_ROOTS_FILE_PATH',
  'HEX_CACERTS_PATH',
  'HTTPLIB2_CA_CERTS',
  'JULIA_SSL_CA_ROOTS_PATH',
  'NIX_SSL_CERT_FILE',
  'PERL_LWP_SSL_CA_FILE',
  'PIP_CERT',
  'REQUESTS_CA_BUNDLE',
  'SSL_CERT_FILE',
] as const;

/** What tells the programs of a sandbox of the gateway, and of the home's authority where a rule ends TLS. */
export function environmentOf(network: NetworkSpec, policy: TaskPolicy | undefined): Readonly<Record<string, string>> {
  if (policy === undefined) return {};
  const proxy = `http://${policy.gatewayAddress}:${gatewayPorts.proxy}`;
  const local = 'localhost,127.0.0.1,::1';
  const found = {
    HTTP_PROXY: proxy,
    HTTPS_PROXY: proxy,
    http_proxy: proxy,
    https_proxy: proxy,
    NO_PROXY: local,
    no_proxy: local,
    NODE_USE_ENV_PROXY: '1',
  };
  if (!network.rules.some((rule) => rule.terminate === true)) return found;
  const authority = `${trustDirectory}/ca.pem`;
  return {
    ...found,
    // These know it besides their own.
    DENO_CERT: authority,
    NODE_EXTRA_CA_CERTS: authority,
    ...Object.fromEntries(namesOfBundle.map((name) => [name, `${trustDirectory}/bundle.pem`])),
    JAVA_TOOL_OPTIONS: `-Djavax.net.ssl.trustStore=${trustDirectory}/store.jks`,
  };
}

import type { GatewayPlan } from '@opencode-tools/core';
import { fullLabels } from '../plan/labels.ts';

const memoryBytes = 384 * 1024 ** 2;
const processes = 64;

/**
 * Says how the gateway runs: no capability, nothing to write but its own output, restarted by the engine whatever ends it. It
 * forwards no packets; what it carries, it has read and connected itself.
 */
export function gatewayOptions(plan: GatewayPlan, image: string, homeId: string, uplink: string): object {
  const { directory, user, argv, version } = plan;
  return {
    Image: image,
    Entrypoint: [],
    Cmd: ['node', ...argv],
    Env: [
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'NODE_OPTIONS=',
      'HOME=/tmp',
      // What one thread frees, another can use.
      'MALLOC_ARENA_MAX=1',
      // Each connection by TLS has 64 KiB for what it reads, and mostly a few KiB in them: parts that were never used take no memory.
      'MALLOC_MMAP_THRESHOLD_=60000',
    ],
    User: `${user.uid}:${user.gid}`,
    WorkingDir: '/',
    Hostname: 'gateway',
    Labels: fullLabels({ home: homeId, kind: 'gateway', inputs: version }),
    Healthcheck: { Test: ['NONE'] },
    HostConfig: {
      Init: true,
      Privileged: false,
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
      ReadonlyRootfs: true,
      NetworkMode: uplink,
      Sysctls: { 'net.ipv4.ip_forward': '0', 'net.ipv4.ip_unprivileged_port_start': '0' },
      Memory: memoryBytes,
      MemorySwap: memoryBytes,
      PidsLimit: processes,
      IpcMode: 'private',
      PublishAllPorts: false,
      LogConfig: { Type: 'json-file', Config: { 'max-size': '1m', 'max-file': '1' } },
      RestartPolicy: { Name: 'unless-stopped' },
      Mounts: [
        {
          Type: 'bind',
          Source: directory,
          Target: '/egress',
          ReadOnly: true,
          BindOptions: { Propagation: 'rprivate' },
        },
        { Type: 'bind', Source: `${directory}/out`, Target: '/egress/out', BindOptions: { Propagation: 'rprivate' } },
      ],
    },
  };
}

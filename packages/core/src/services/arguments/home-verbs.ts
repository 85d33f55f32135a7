import type {
  CacheService,
  DoctorService,
  EgressService,
  HousekeeperService,
  LedgerService,
  MonitorService,
} from '../services.ts';
import { anObject, flag, list, number, optional, options, shape, text } from './shape.ts';
import { type VerbsOf, call, session } from './shapes.ts';

export const egressVerbs: VerbsOf<EgressService> = {
  check: [
    ['taskId', text],
    ['url', text],
    ['options', optional(options({ method: optional(text) }))],
  ],
  named: { atOnce: [['names', list(text)]] },
  set: [
    ['taskId', text],
    ['options', options({ ...session, network: anObject, endExecutions: optional(flag) })],
    ['call', call],
  ],
  log: [
    ['taskId', text],
    ['options', optional(options({ limit: optional(number), deniedOnly: optional(flag) }))],
  ],
};

export const cacheVerbs: VerbsOf<CacheService> = {
  list: [['options', optional(options({ sizes: optional(flag) }))]],
  trim: [['call', call]],
  remove: [
    ['name', text],
    ['call', call],
  ],
};

export const ledgerVerbs: VerbsOf<LedgerService> = {
  history: [
    ['taskId', text],
    [
      'options',
      optional(
        options({
          afterSeq: optional(number),
          beforeSeq: optional(number),
          limit: optional(number),
          newestFirst: optional(flag),
          types: optional(list(text)),
        }),
      ),
    ],
  ],
  verify: [['taskId', optional(text)]],
  head: [['stream', text]],
};

export const housekeeperVerbs: VerbsOf<HousekeeperService> = {
  start: { atOnce: [] },
  turn: [],
  reap: [
    ['options', options({ dryRun: flag })],
    ['call', call],
  ],
  status: [],
  close: [],
};

export const doctorVerbs: VerbsOf<DoctorService> = {
  run: [
    ['call', call],
    ['options', optional(options({ reap: optional(flag), dryRun: optional(flag) }))],
  ],
};

const keptAlive = shape<ReadonlySet<string>>('a Set', (value) => value instanceof Set);
const watching = optional(options({ keptAlive: optional(keptAlive) }));

export const monitorVerbs: VerbsOf<MonitorService> = {
  round: [['options', watching]],
  start: { atOnce: [['options', watching]] },
};

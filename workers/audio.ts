/** The audio job's activities as configured. */
import { createAudioActivities } from '../activities/audio/activities';
import type { Config } from './config';
import type { Wiring } from './wiring';

export function audioWiring(config: Config): Wiring {
  const activities = createAudioActivities({
    credentials: config.credentials,
    idleTimeoutMs: config.get('audio.idle_timeout_seconds') * 1000,
  });
  // Every file is opened and closed by the activity that needs it.
  return { activities, ownQueue: true, singleFileQueues: [], close: () => Promise.resolve() };
}

/** `doctor`: what a run needs, checked one by one, each "no" with what to do. */
import type { Config } from '../../workers/config';
import { syncJobAttribute, syncStateAttribute, taskQueue } from '../../workflows/shared/names';
import { connect, type Temporal } from '../connect';
import { exit } from '../exit';
import { messageOf, no, yes, type Finding } from '../finding';
import { table } from '../format';
import { jobs } from '../jobs';
import { pollersOf, workerRemedy } from '../pollers';
import type { Call } from '../verb';

const nodeMin = [20, 19] as const;

export async function doctor(call: Call): Promise<number> {
  const { config, output } = call;
  const findings: Finding[] = [
    nodeVersion(process.versions.node),
    yes('configuration', config.file ?? 'no file; flags, environment and defaults'),
  ];
  const temporal = await connect(call.temporal).catch((error: unknown) => {
    findings.push(no('Temporal', messageOf(error), 'start one with `waybill dev`, or set TEMPORAL_ADDRESS'));
    return null;
  });
  if (temporal !== null) {
    findings.push(yes('Temporal', `${temporal.address}, namespace ${temporal.namespace}`));
    findings.push(...(await temporalFindings(temporal, config)));
    await temporal.close();
  }
  for (const job of Object.values(jobs)) findings.push(...(await (await job.load()).findings(config)));
  const healthy = findings.every(({ ok }) => ok);
  output.answer({ healthy, findings }, table(findings.map(({ check, ok, found }) => [ok ? 'ok' : 'NO', check, found])));
  for (const { check, ok, fix } of findings) if (!ok) output.say(`${check}: ${fix}`);
  return healthy ? exit.ok : exit.failed;
}

export function nodeVersion(version: string): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const isNew = major > nodeMin[0] || (major === nodeMin[0] && minor >= nodeMin[1]);
  return isNew ? yes('Node', version) : no('Node', version, `install Node ${nodeMin.join('.')} or newer`);
}

async function temporalFindings(temporal: Temporal, config: Config): Promise<Finding[]> {
  const { client, namespace } = temporal;
  try {
    await client.workflowService.describeNamespace({ namespace });
  } catch (error) {
    const create = `correct TEMPORAL_NAMESPACE, or \`temporal operator namespace create -n ${namespace}\``;
    return [no('namespace', `${namespace}: ${messageOf(error)}`, create)];
  }
  const findings = [await searchAttributes(temporal)];
  for (const kind of config.get('worker.jobs')) {
    const queue = taskQueue(kind, config.get('worker.host'));
    const pollers = await pollersOf(client, queue);
    const start = `${workerRemedy(kind, queue)}, or \`waybill dev\``;
    const check = `worker of ${queue}`;
    findings.push(pollers.length > 0 ? yes(check, pollers.join(', ')) : no(check, 'nobody polls', start));
  }
  return findings;
}

async function searchAttributes({ client, namespace }: Temporal): Promise<Finding> {
  const check = 'search attributes';
  const wanted = [syncJobAttribute, syncStateAttribute];
  const register = wanted
    .map((name) => `temporal operator search-attribute create --name ${name} --type Keyword`)
    .join(' && ');
  try {
    const { customAttributes } = await client.connection.operatorService.listSearchAttributes({ namespace });
    const missing = wanted.filter((name) => customAttributes?.[name] === undefined);
    if (missing.length === 0) return yes(check, wanted.join(', '));
    return no(check, `missing: ${missing.join(', ')}`, `a starting worker registers them; or: ${register}`);
  } catch (error) {
    return no(check, messageOf(error), register);
  }
}

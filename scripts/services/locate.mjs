/**
 * Finds a service, in this order: an address in the environment, an installed program, a pinned package, docker. What is
 * named in the environment must answer: it is never silently replaced by another.
 */
import { accessSync, constants } from 'node:fs';
import { anvilFromPackage, anvilOnPath, catalogue } from './catalogue.mjs';
import { dockerImage, dockerRefusal } from './docker.mjs';
import { accepts } from './ready.mjs';

const modes = ['native', 'docker', 'external'];

function forcedMode() {
  const mode = process.env.WAYBILL_SERVICES;
  if (!mode) return null;
  if (!modes.includes(mode))
    throw new Error(`WAYBILL_SERVICES=${mode}: it knows ${modes.join(', ')}, or leave it unset.`);
  return mode;
}

/** How a service is to be had: { how: external | path | package | docker, version, ... }. Throws naming all four ways. */
export async function locate(name) {
  const mode = forcedMode();
  const refusals = [];
  for (const way of ways) {
    if (mode !== null && mode !== way.mode) continue;
    try {
      const found = await way.find(name);
      if (found) return { how: way.how, ...found };
      refusals.push(`${way.title(name)}: none`);
    } catch (error) {
      // A package that is not what was pinned is for a person to look at, not to be stepped around.
      if (way.how === 'external' || error.message.includes('DO NOT MATCH THE HASHES')) throw error;
      refusals.push(`${way.title(name)}: ${error.message}`);
    }
  }
  throw new Error(noneFound(name, mode, refusals));
}

const ways = [
  { how: 'external', mode: 'external', title: (name) => `address in ${catalogue[name].urlName}`, find: external },
  { how: 'path', mode: 'native', title: () => 'installed program', find: (name) => catalogue[name].onPath() },
  { how: 'package', mode: 'native', title: () => 'pinned package', find: (name) => catalogue[name].fromPackage() },
  { how: 'docker', mode: 'docker', title: () => 'docker', find: inDocker },
];

function noneFound(name, mode, refusals) {
  const { what, urlName } = catalogue[name];
  const forced = mode === null ? '' : ` WAYBILL_SERVICES=${mode} allows only one kind of way.`;
  return [
    `${name}: no ${what} to be had.${forced} Tried:`,
    ...refusals.map((refusal) => `  - ${refusal.replaceAll('\n', '\n    ')}`),
    `Any one of these helps: set ${urlName} to a running one; install ${what}; ${packageFix(name)}; start docker.`,
  ].join('\n');
}

const packageFix = (name) =>
  name === 'mysql' ? 'run on Debian or Ubuntu with access to its archive' : 'install python3 with pip';

async function external(name) {
  const { urlName, what } = catalogue[name];
  const value = process.env[urlName];
  if (!value) return null;
  const { host, port } = addressIn(value, urlName);
  if (!(await accepts(port, host))) {
    throw new Error(
      `${urlName}=${withoutPassword(value)}: nothing answers there. Start that ${what}, or unset ${urlName}.`,
    );
  }
  return { version: 'as given', address: value };
}

const defaultPorts = {
  'postgres:': 5432,
  'postgresql:': 5432,
  'redis:': 6379,
  'mysql:': 3306,
  'http:': 80,
  'https:': 443,
};

function addressIn(value, urlName) {
  try {
    const url = new URL(value.includes('://') ? value : `tcp://${value}`);
    return { host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port || defaultPorts[url.protocol] || 7233) };
  } catch (cause) {
    throw new Error(`${urlName}=${withoutPassword(value)}: not an address. It looks like postgres://host:port/name.`, {
      cause,
    });
  }
}

const withoutPassword = (value) => value.replace(/:[^:@/]*@/, ':…@');

async function inDocker(name) {
  const refusal = await dockerRefusal();
  if (refusal) throw new Error(refusal);
  return { version: dockerImage(name), image: dockerImage(name) };
}

/** A program that its users start themselves: named in the environment, installed, or packaged. */
async function programOf({ variable, what, finds, remedy }) {
  const named = process.env[variable];
  if (named) {
    try {
      accessSync(named, constants.X_OK);
    } catch (cause) {
      throw new Error(`${variable}=${named}: not a program that can be run. Correct it or unset it.`, { cause });
    }
    return named;
  }
  const refusals = [];
  for (const find of finds) {
    try {
      const found = await find();
      if (found) return found.programs.server;
    } catch (error) {
      refusals.push(error.message);
    }
  }
  throw new Error(
    `The ${what} program was not found. Tried ${variable} (not set), PATH and the pinned package: ` +
      `${refusals.join('; ') || 'none'}. ${remedy}, or set ${variable}.`,
  );
}

export const temporalProgram = () =>
  programOf({
    variable: 'TEMPORAL_CLI_PATH',
    what: 'temporal',
    finds: [catalogue.temporal.onPath, catalogue.temporal.fromPackage],
    remedy: 'Install it, or python3 with pip',
  });

/** The chain that the emulated Recall network runs on. */
export const anvilProgram = () =>
  programOf({
    variable: 'ANVIL_PATH',
    what: 'anvil',
    finds: [anvilOnPath, anvilFromPackage],
    remedy: 'Install it with foundryup',
  });

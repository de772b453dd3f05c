/**
 * Owns the table of features whose levels a cluster agrees on (KIP-584): the levels that this version can do, and what a change of
 * levels must obey. Whoever adds a feature adds a line here; who acts by its level asks `MetadataImage.featureLevel`.
 * Source: Feature, MetadataVersion, QuorumFeatures, FeatureControlManager.
 */
import { KafkaError } from "../protocol/errors.ts";
import { NewerMetadata } from "./keys.ts";

/** The levels of one feature that this version can do. A new cluster begins with the highest. */
export interface Feature {
  readonly name: string;
  readonly min: number;
  readonly max: number;
}

/** Clients tell by it which Kafka they talk to. Our own metadata does not depend on it. */
export const METADATA_VERSION = "metadata.version";

/** Clients speak KIP-890 from level 2 on, and the coordinator fences by its rules. */
export const TRANSACTION_VERSION = "transaction.version";
/** 1: groups of the consumer protocol (KIP-848). */
export const GROUP_VERSION = "group.version";

export const FEATURES: readonly Feature[] = [
  { name: METADATA_VERSION, min: 7, max: 33 }, // Kafka 4.4: 3.3-IV3 to 4.4-IV2
  { name: TRANSACTION_VERSION, min: 0, max: 2 },
  { name: GROUP_VERSION, min: 0, max: 1 },
];

/** FeatureUpdate.UpgradeType. */
export const UPGRADE = 1;
const UNSAFE_DOWNGRADE = 3;

export interface FeatureUpdate {
  readonly feature: string;
  readonly maxVersionLevel: number;
  readonly upgradeType: number;
}

/**
 * The levels that a start leaves the cluster with: those that were decided stay, also a 0 (a feature that was turned off); a feature that nobody
 * has decided about yet begins with the highest. Throws NewerMetadata if this version cannot do what was decided.
 */
export function levelsAtStart(decided: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  const levels = new Map(FEATURES.map(({ name, max }) => [name, max]));
  for (const [name, level] of decided) {
    const feature = FEATURES.find((known) => known.name === name);
    const isKnown = level === 0 || (feature !== undefined && level >= feature.min && level <= feature.max);
    if (!isKnown) throw new NewerMetadata(`feature ${name} has level ${level}`);
    levels.set(name, level);
  }
  return levels;
}

/** The levels after some updates, or the first fault: INVALID_UPDATE_VERSION, with Kafka's words. Of two updates of one feature the last counts. */
export function planUpdates(
  levels: ReadonlyMap<string, number>,
  updates: readonly FeatureUpdate[],
  nodeId: number,
): ReadonlyMap<string, number> | KafkaError {
  const planned = new Map(levels);
  for (const update of new Map(updates.map((update) => [update.feature, update])).values()) {
    const fault = updateFault(levels.get(update.feature) ?? 0, update, nodeId);
    if (fault !== null) return new KafkaError("INVALID_UPDATE_VERSION", fault);
    planned.set(update.feature, update.maxVersionLevel);
  }
  return planned;
}

function updateFault(
  current: number,
  { feature, maxVersionLevel: level, upgradeType }: FeatureUpdate,
  nodeId: number,
): string | null {
  const fault = levelFault(feature, current, level, upgradeType, nodeId);
  if (fault !== null) return `Invalid update version ${level} for feature ${feature}. ${fault}`;
  if (feature !== METADATA_VERSION || level >= current) return null;
  // Records were added with the newest level, so no lower one is safe, and Kafka knows no unsafe one yet (KAFKA-13896).
  const why =
    upgradeType === UNSAFE_DOWNGRADE
      ? "Unsafe metadata downgrade is not supported in this version."
      : "Refusing to perform the requested downgrade because it might delete metadata information.";
  return `Unsupported metadata.version downgrade from ${current} to ${level}. ${why}`;
}

function levelFault(name: string, current: number, level: number, upgradeType: number, nodeId: number): string | null {
  if (upgradeType < UPGRADE || upgradeType > UNSAFE_DOWNGRADE) return "The controller does not support the given upgrade type.";
  if (level < 0) return "A feature version cannot be less than 0.";
  const feature = FEATURES.find((known) => known.name === name);
  if (feature === undefined && level === 0) return `Feature ${name} not found.`;
  const { min, max } = feature ?? { min: 0, max: 0 };
  if (level < min || level > max) {
    if (max === 0) return `Local controller ${nodeId} does not support this feature.`;
    return `Local controller ${nodeId} only supports versions ${min === max ? min : `${min}-${max}`}`;
  }
  if (level < current && upgradeType === UPGRADE)
    return "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.";
  if (level > current && upgradeType !== UPGRADE) return "Can't downgrade to a newer version.";
  return null;
}

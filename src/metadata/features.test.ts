/** What may become of feature levels. The messages are those of Kafka's FeatureControlManager and QuorumFeatures. */
import { describe, expect, test } from "bun:test";
import { KafkaError } from "../protocol/errors.ts";
import { FEATURES, levelsAtStart, planUpdates, UPGRADE } from "./features.ts";
import { NewerMetadata } from "./keys.ts";

const SAFE_DOWNGRADE = 2;
const UNSAFE_DOWNGRADE = 3;
const levels = levelsAtStart(new Map());

describe("at a start", () => {
  test("a new cluster begins with the highest levels", () => {
    expect(levels.get("metadata.version")).toBe(33);
    expect([...levels]).toEqual(FEATURES.map(({ name, max }) => [name, max]));
  });

  test("what was decided stays, also that a feature is off", () => {
    const { name } = FEATURES.at(-1)!;
    expect(levelsAtStart(new Map([[name, 0]])).get(name)).toBe(0);
    expect(levelsAtStart(new Map([["gone.version", 0]])).get("gone.version")).toBe(0);
  });

  test("a level that this version cannot do ends it", () => {
    expect(() => levelsAtStart(new Map([["metadata.version", 34]]))).toThrow(NewerMetadata);
    expect(() => levelsAtStart(new Map([["new.version", 1]]))).toThrow("feature new.version has level 1");
  });
});

describe("an update", () => {
  const outcome = (feature: string, maxVersionLevel: number, upgradeType = UPGRADE): unknown => {
    const planned = planUpdates(levels, [{ feature, maxVersionLevel, upgradeType }], 1);
    return planned instanceof KafkaError ? [planned.error, planned.message] : planned.get(feature);
  };
  const refused = (feature: string, level: number, why: string) => [
    "INVALID_UPDATE_VERSION",
    `Invalid update version ${level} for feature ${feature}. ${why}`,
  ];

  test("to the level that is there", () => expect(outcome("metadata.version", 33)).toBe(33));

  test.each([
    ["metadata.version", 34, UPGRADE, "Local controller 1 only supports versions 7-33"],
    ["metadata.version", 6, UNSAFE_DOWNGRADE, "Local controller 1 only supports versions 7-33"],
    ["metadata.version", -1, SAFE_DOWNGRADE, "A feature version cannot be less than 0."],
    [
      "metadata.version",
      30,
      UPGRADE,
      "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.",
    ],
    ["metadata.version", 33, 0, "The controller does not support the given upgrade type."],
    ["metadata.version", 33, 4, "The controller does not support the given upgrade type."],
    ["nope.version", 0, SAFE_DOWNGRADE, "Feature nope.version not found."],
    ["nope.version", 1, UPGRADE, "Local controller 1 does not support this feature."],
  ])("of %s to %d, type %d, is refused", (feature, level, type, why) => {
    expect(outcome(feature, level, type)).toEqual(refused(feature, level, why));
  });

  test("the metadata's version goes up only", () => {
    expect(outcome("metadata.version", 32, SAFE_DOWNGRADE)).toEqual([
      "INVALID_UPDATE_VERSION",
      "Unsupported metadata.version downgrade from 33 to 32. Refusing to perform the requested downgrade because it might delete metadata information.",
    ]);
    expect(outcome("metadata.version", 32, UNSAFE_DOWNGRADE)).toEqual([
      "INVALID_UPDATE_VERSION",
      "Unsupported metadata.version downgrade from 33 to 32. Unsafe metadata downgrade is not supported in this version.",
    ]);
    const from30 = new Map([["metadata.version", 30]]);
    const up = planUpdates(from30, [{ feature: "metadata.version", maxVersionLevel: 33, upgradeType: UPGRADE }], 1);
    expect(up instanceof KafkaError ? up.message : up.get("metadata.version")).toBe(33);
    const beyond = planUpdates(from30, [{ feature: "metadata.version", maxVersionLevel: 33, upgradeType: SAFE_DOWNGRADE }], 1);
    expect((beyond as KafkaError).message).toBe(
      "Invalid update version 33 for feature metadata.version. Can't downgrade to a newer version.",
    );
  });
});

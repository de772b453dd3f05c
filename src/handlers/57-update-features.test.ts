import { describe, expect, test } from "bun:test";
import { UpdateFeatures } from "../protocol/messages/57-update-features.ts";
import { updateFeatures } from "./57-update-features.ts";
import { Rig } from "./metadata-rig.ts";

const update = (rig: Rig, version: number, feature: string, maxVersionLevel: number, validateOnly = false) =>
  rig.ask(updateFeatures, UpdateFeatures, version, { featureUpdates: [{ feature, maxVersionLevel }], validateOnly });

describe("UpdateFeatures", () => {
  test("the level that is there already, in every version", async () => {
    const rig = await Rig.open();
    for (const version of [0, 1, 2]) {
      const { errorCode, errorMessage, results } = await update(rig, version, "metadata.version", 33);
      expect([errorCode, errorMessage]).toEqual([0, null]);
      expect(results).toEqual(version === 2 ? [] : [{ feature: "metadata.version", errorCode: 0, errorMessage: null }]);
    }
  });

  test("what may not be changes nothing", async () => {
    const rig = await Rig.open();
    const before = [...rig.image.features];
    for (const version of [0, 1, 2]) {
      expect(await update(rig, version, "nope.version", 1)).toEqual({
        throttleTimeMs: 0,
        errorCode: 95,
        errorMessage:
          "The update failed for all features since the following feature had an error: Invalid update version 1 for feature nope.version. Local controller 7 does not support this feature.",
        results: [],
      });
    }
    expect([...rig.image.features]).toEqual(before);
    expect(rig.image.featureLevel("metadata.version")).toBe(33);
  });

  test("a change is stored, and in the image when it is answered; validate only is neither", async () => {
    const rig = await Rig.open({}, new Map([["metadata.version", 30]]));
    expect((await update(rig, 1, "metadata.version", 33, true)).errorCode).toBe(0);
    expect(rig.image.featureLevel("metadata.version")).toBe(30);
    expect((await update(rig, 1, "metadata.version", 33)).errorCode).toBe(0);
    expect(rig.image.featureLevel("metadata.version")).toBe(33);
  });

  test("an outcome that is unknown is looked at again", async () => {
    for (const lost of ["of applied", "of refused"] as const) {
      const rig = await Rig.open({}, new Map([["metadata.version", 30]]));
      rig.store.loseTrack = lost;
      expect((await update(rig, 2, "metadata.version", 33)).errorCode).toBe(0);
      expect(rig.image.featureLevel("metadata.version")).toBe(33);
    }
  });
});

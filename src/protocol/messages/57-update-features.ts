/**
 * UpdateFeatures (57): raises and lowers finalized feature levels (KIP-584). Version 1 brought upgrade types and validate only, 2
 * has one error for all (KIP-1022).
 */
import { api, array, bool, int8, int16, int32, type Request, type Response, string } from "../schema.ts";

export const UpdateFeatures = api({
  key: 57,
  name: "UpdateFeatures",
  declared: "0-2",
  flexible: "0+",
  request: {
    timeoutMs: int32().default(60000),
    featureUpdates: array({
      feature: string(),
      maxVersionLevel: int16(),
      allowDowngrade: bool("0").default(false),
      upgradeType: int8("1+").default(1),
    }),
    validateOnly: bool("1+").default(false),
  },
  response: {
    throttleTimeMs: int32().default(0),
    errorCode: int16(),
    errorMessage: string().nullable(),
    results: array({ feature: string(), errorCode: int16(), errorMessage: string().nullable() }, "0-1").default([]),
  },
});
export type UpdateFeaturesRequest = Request<typeof UpdateFeatures>;
export type UpdateFeaturesResponse = Response<typeof UpdateFeatures>;

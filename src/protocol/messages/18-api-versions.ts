/**
 * ApiVersions (18): what the broker serves; a client's first request. Its response header is version 0 always (frames.ts).
 * Version 3 brought the client's software (KIP-511) and features (KIP-584), 4 features from level 0 (KAFKA-17011), 5 a check of cluster and node
 * (KIP-1242).
 */
import { api, array, bool, int16, int32, int64, type Request, type Response, string } from "../schema.ts";

export const ApiVersions = api({
  key: 18,
  name: "ApiVersions",
  declared: "0-5",
  flexible: "3+",
  request: {
    clientSoftwareName: string("3+"),
    clientSoftwareVersion: string("3+"),
    clusterId: string("5+").nullable().default(null),
    nodeId: int32("5+").default(-1),
  },
  response: {
    errorCode: int16(),
    apiKeys: array({ apiKey: int16(), minVersion: int16(), maxVersion: int16() }),
    throttleTimeMs: int32("1+").default(0),
    supportedFeatures: array({ name: string(), minVersion: int16(), maxVersion: int16() }, "3+").tagged(0),
    finalizedFeaturesEpoch: int64("3+").default(-1).tagged(1),
    finalizedFeatures: array({ name: string(), maxVersionLevel: int16(), minVersionLevel: int16() }, "3+").tagged(2),
    zkMigrationReady: bool("3+").default(false).tagged(3),
  },
});
export type ApiVersionsRequest = Request<typeof ApiVersions>;
export type ApiVersionsResponse = Response<typeof ApiVersions>;

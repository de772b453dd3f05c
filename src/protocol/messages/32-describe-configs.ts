/** DescribeConfigs (32). Version 1 brought sources and synonyms (KIP-226), 3 types and documentation (KIP-569). */
import { api, array, bool, int8, int16, int32, type Request, type Response, string } from "../schema.ts";

export const DescribeConfigs = api({
  key: 32,
  name: "DescribeConfigs",
  declared: "1-4",
  flexible: "4+",
  request: {
    // Resource types: 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group. configurationKeys null: all.
    resources: array({ resourceType: int8(), resourceName: string(), configurationKeys: array(string()).nullable() }),
    includeSynonyms: bool().default(false),
    includeDocumentation: bool("3+").default(false),
  },
  response: {
    throttleTimeMs: int32().default(0),
    results: array({
      errorCode: int16(),
      errorMessage: string().nullable(),
      resourceType: int8(),
      resourceName: string(),
      configs: array({
        name: string(),
        value: string().nullable(),
        readOnly: bool(),
        configSource: int8().default(-1),
        isSensitive: bool(),
        synonyms: array({ name: string(), value: string().nullable(), source: int8() }),
        configType: int8("3+").default(0),
        documentation: string("3+").nullable(),
      }),
    }),
  },
});
export type DescribeConfigsRequest = Request<typeof DescribeConfigs>;
export type DescribeConfigsResponse = Response<typeof DescribeConfigs>;

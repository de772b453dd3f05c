// Runs Kafka's command-line tools in one JVM, one after the other: the same main methods as their scripts, without a start each.
// Reads one JSON object a line, {"main", "args", "stdin"}, and answers each with one line, {"code", "stdout", "stderr"}.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.utils.Exit;

public final class Tools {
  private static final ObjectMapper JSON = new ObjectMapper();

  private static ByteArrayOutputStream out;
  private static ByteArrayOutputStream err;
  /** What came of the tool when it first wanted to end the process: what it does afterwards would not have been. */
  private static Map<String, Object> outcome;

  private static void end(int code) {
    if (outcome != null) return;
    outcome = Map.of("code", code, "stdout", out.toString(StandardCharsets.UTF_8), "stderr", err.toString(StandardCharsets.UTF_8));
  }

  private static final class Ended extends Error {
    Ended() {
      super(null, null, false, false);
    }
  }

  private static void run(String main, List<String> args) throws Exception {
    try {
      Class.forName(main).getMethod("main", String[].class).invoke(null, (Object) args.toArray(new String[0]));
      end(0);
    } catch (InvocationTargetException e) {
      e.getCause().printStackTrace(System.err); // as the JVM does
      end(1);
    }
  }

  private static Map<String, Object> answer(JsonNode request) throws Exception {
    List<String> args = new ArrayList<>();
    request.get("args").forEach(arg -> args.add(arg.asText()));
    out = new ByteArrayOutputStream();
    err = new ByteArrayOutputStream();
    outcome = null;
    System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
    System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
    System.setIn(new ByteArrayInputStream(request.get("stdin").asText().getBytes(StandardCharsets.UTF_8)));
    run(request.get("main").asText(), args);
    return outcome;
  }

  public static void main(String[] args) throws Exception {
    BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    PrintStream answers = System.out;
    Exit.Procedure procedure = (code, message) -> {
      end(code);
      throw new Ended();
    };
    Exit.setExitProcedure(procedure);
    Exit.setHaltProcedure(procedure);
    for (String line; (line = requests.readLine()) != null; ) {
      answers.println(JSON.writeValueAsString(answer(JSON.readTree(line))));
      answers.flush();
    }
  }
}

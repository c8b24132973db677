import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** Calls the service by Java's own HTTP client as it comes, which offers HTTP/2 with its first request. */
public class Talk {
    private static String base;

    public static void main(String[] arguments) throws Exception {
        base = arguments[0];
        String small = "{\"prompt\": \"hi\"}";
        String large = "{\"prompt\": \"" + "word ".repeat(1_000_000) + "\"}";
        for (String body : List.of(small, large)) {
            say(HttpClient.newHttpClient(), "/chat", known(body));
            say(HttpClient.newHttpClient(), "/chat", chunked(body));
        }
        HttpClient one = HttpClient.newHttpClient();
        say(one, "/chat", known(small));
        say(one, "/v1/chat/completions", chunked("{\"model\": \"gpt-4o\", \"messages\": [{\"role\": \"user\", \"content\": \"hi\"}]}"));
        say(one, "/chat/stream", known(small));
        say(HttpClient.newHttpClient(), "/v1/models", null);
    }

    /** A body that is sent with its length. */
    private static BodyPublisher known(String body) {
        return BodyPublishers.ofString(body);
    }

    /** A body whose length the client does not know, so that it sends chunks. */
    private static BodyPublisher chunked(String body) {
        return BodyPublishers.ofByteArrays(List.of(body.getBytes(StandardCharsets.UTF_8)));
    }

    private static void say(HttpClient client, String path, BodyPublisher body) throws Exception {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(base + path));
        if (body != null) {
            request.header("Content-Type", "application/json").POST(body);
        }
        HttpResponse<String> answer = client.send(request.build(), BodyHandlers.ofString());
        System.out.println(answer.statusCode() + " " + answer.version() + " " + path);
    }
}

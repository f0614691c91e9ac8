using System.Text.Json;

namespace FlowMM.Model.Configuration;

/// <summary>Reads a JSON file of a checkpoint, naming it when it is wrong.</summary>
internal static class JsonFile
{
    /// <summary>Bound on configuration files and tokenizers, bytes.</summary>
    private const long MaxBytes = 256 << 20;

    public static JsonDocument Read(string path)
    {
        if (!File.Exists(path))
        {
            throw new CheckpointException(path, "the file does not exist.");
        }

        if (new FileInfo(path).Length > MaxBytes)
        {
            throw new CheckpointException(path, $"the file is larger than {MaxBytes} bytes.");
        }

        try
        {
            return JsonDocument.Parse(File.ReadAllBytes(path));
        }
        catch (JsonException error)
        {
            throw new CheckpointException(path, "the file is not JSON: " + error.Message, error);
        }
    }
}

/// <summary>Typed access to an object's fields; an error names file and key. A null field counts as absent.</summary>
internal sealed class JsonFields(string path, JsonElement element)
{
    /// <summary>An object without fields, in another's file.</summary>
    public static JsonFields None(JsonFields other) => new(other.File, default);

    public string File => path;

    public bool Has(string key) => Get(key) is not null;

    public CheckpointException Wrong(string problem) => new(path, problem);

    public void Check(bool holds, string problem)
    {
        if (!holds)
        {
            throw Wrong(problem);
        }
    }

    public JsonFields? Find(string key) =>
        Get(key) is { ValueKind: JsonValueKind.Object } found ? new JsonFields(path, found) : null;

    public string Text(string key, string? otherwise = null) => Get(key) switch
    {
        { ValueKind: JsonValueKind.String } found => found.GetString()!,
        null => otherwise ?? throw Wrong($"key '{key}' is missing."),
        _ => throw Wrong($"key '{key}' is no text."),
    };

    public int Whole(string key, int? otherwise = null) => Get(key) switch
    {
        { ValueKind: JsonValueKind.Number } found when found.TryGetInt32(out int value) => value,
        null => otherwise ?? throw Wrong($"key '{key}' is missing."),
        _ => throw Wrong($"key '{key}' is no whole number."),
    };

    public int Positive(string key)
    {
        int value = Whole(key);
        Check(value is > 0 and <= 1 << 24, $"key '{key}' is {value}.");
        return value;
    }

    public double Number(string key, double otherwise) => Get(key) switch
    {
        { ValueKind: JsonValueKind.Number } found => found.GetDouble(),
        null => otherwise,
        _ => throw Wrong($"key '{key}' is no number."),
    };

    public bool Flag(string key, bool otherwise) => Get(key) switch
    {
        { ValueKind: JsonValueKind.True } => true,
        { ValueKind: JsonValueKind.False } => false,
        null => otherwise,
        _ => throw Wrong($"key '{key}' is no truth value."),
    };

    public double[] Numbers(string key) => Get(key) is { ValueKind: JsonValueKind.Array } list
        && list.EnumerateArray().All(n => n.ValueKind == JsonValueKind.Number)
        ? [.. list.EnumerateArray().Select(n => n.GetDouble())]
        : throw Wrong($"key '{key}' is no list of numbers.");

    /// <summary>One whole number or a list of them; none when absent.</summary>
    public IEnumerable<int> Wholes(string key) => Get(key) switch
    {
        { ValueKind: JsonValueKind.Array } list when list.EnumerateArray().All(IsWhole) => list.EnumerateArray().Select(n => n.GetInt32()).ToList(),
        { } one when IsWhole(one) => [one.GetInt32()],
        null => [],
        _ => throw Wrong($"key '{key}' is no whole number and no list of them."),
    };

    /// <summary>A list of texts; none when absent.</summary>
    public IEnumerable<string> Texts(string key) => Get(key) switch
    {
        { ValueKind: JsonValueKind.Array } list when list.EnumerateArray().All(t => t.ValueKind == JsonValueKind.String) => list.EnumerateArray().Select(t => t.GetString()!).ToList(),
        null => [],
        _ => throw Wrong($"key '{key}' is no list of texts."),
    };

    private static bool IsWhole(JsonElement value) => value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out _);

    private JsonElement? Get(string key) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(key, out JsonElement found) && found.ValueKind != JsonValueKind.Null ? found : null;
}

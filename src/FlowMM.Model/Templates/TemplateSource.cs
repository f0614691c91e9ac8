using System.Text;
using System.Text.Json;
using FlowMM.Model.Configuration;

namespace FlowMM.Model.Templates;

/// <summary>The text of a chat template and where it is from.</summary>
/// <param name="File">The file that an error names.</param>
/// <param name="Text">The template.</param>
internal sealed record TemplateSource(string File, string Text)
{
    private const int MaxBytes = 1 << 20;

    /// <summary>Families whose conversations are published as code: config.json's model_type to the built-in template.</summary>
    private static readonly Dictionary<string, string> Families = new() { ["mobilevlm"] = "vicuna-v1", ["llava_llama"] = "vicuna-v1" };

    /// <summary>A file that the user named: a template, or JSON that holds one.</summary>
    /// <exception cref="CheckpointException">It does not exist or holds no template.</exception>
    public static TemplateSource Named(string file) => file.EndsWith(".json", StringComparison.OrdinalIgnoreCase)
        ? new(file, Field(file, "chat_template") ?? throw new CheckpointException(file, "there is no chat_template in it."))
        : new(file, ReadText(file));

    /// <summary>
    /// The template of a checkpoint: the family's own where its files hold another one than it was trained with, chat_template.jinja,
    /// chat_template.json, tokenizer_config.json, or the family's own where there is none.
    /// </summary>
    /// <exception cref="CheckpointException">There is none, or it cannot be read.</exception>
    public static TemplateSource Of(string directory)
    {
        string In(string name) => Path.Combine(directory, name);
        (string type, string conversation) = Family(In("config.json"));
        if (type == "internvl_chat")
        {
            return BuiltIn(conversation) ?? throw Missing(In("config.json"), $"the conversation template '{conversation}' is not known");
        }

        if (System.IO.File.Exists(In("chat_template.jinja")))
        {
            return new(In("chat_template.jinja"), ReadText(In("chat_template.jinja")));
        }

        foreach (string file in new[] { In("chat_template.json"), In("tokenizer_config.json") }.Where(System.IO.File.Exists))
        {
            if (Field(file, "chat_template") is string text)
            {
                return new(file, text);
            }
        }

        return Families.TryGetValue(type, out string? name) ? BuiltIn(name)! : throw Missing(In("tokenizer_config.json"), "there is no chat_template");
    }

    /// <summary>A text of a JSON file: a string, an object with content, or the entry named default of a list of templates.</summary>
    public static string? Field(string file, string name)
    {
        using JsonDocument json = JsonFile.Read(file);
        return json.RootElement.ValueKind == JsonValueKind.Object && json.RootElement.TryGetProperty(name, out JsonElement field) ? Value(field) : null;
    }

    private static string? Value(JsonElement field) => field.ValueKind switch
    {
        JsonValueKind.String => field.GetString(),
        JsonValueKind.Object => field.TryGetProperty("content", out JsonElement content) && content.ValueKind == JsonValueKind.String ? content.GetString() : null,
        JsonValueKind.Array => field.EnumerateArray()
            .Where(t => t.ValueKind == JsonValueKind.Object && Named(t, "name") == "default").Select(t => Named(t, "template")).FirstOrDefault(),
        _ => null,
    };

    private static string? Named(JsonElement entry, string key) =>
        entry.TryGetProperty(key, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static (string Type, string Conversation) Family(string config)
    {
        if (!System.IO.File.Exists(config))
        {
            return ("", "");
        }

        using JsonDocument json = JsonFile.Read(config);
        JsonFields fields = new(config, json.RootElement);
        return (fields.Text("model_type", ""), fields.Text("template", ""));
    }

    private static TemplateSource? BuiltIn(string name)
    {
        string resource = $"FlowMM.Model.Templates.BuiltIn.{name}.jinja";
        using Stream? stream = typeof(TemplateSource).Assembly.GetManifestResourceStream(resource);
        if (stream is null)
        {
            return null;
        }

        using StreamReader reader = new(stream, Encoding.UTF8);
        return new TemplateSource(name + ".jinja", reader.ReadToEnd());
    }

    private static string ReadText(string file)
    {
        FileInfo info = new(file);
        return !info.Exists ? throw new CheckpointException(file, "the file does not exist.")
            : info.Length > MaxBytes ? throw new CheckpointException(file, $"the file is larger than {MaxBytes} bytes.")
            : System.IO.File.ReadAllText(file);
    }

    private static CheckpointException Missing(string file, string problem) =>
        new(file, $"{problem}; name a template file with --chat-template or FlowMM:Model:ChatTemplate.");
}

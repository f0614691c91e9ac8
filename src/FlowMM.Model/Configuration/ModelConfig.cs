using System.Text.Json;
using FlowMM.Model.Families;

namespace FlowMM.Model.Configuration;

/// <summary>What config.json and generation_config.json say of a checkpoint.</summary>
internal sealed record ModelConfig
{
    /// <summary>config.json's model_type.</summary>
    public required string Architecture { get; init; }

    public required IModelFamily Family { get; init; }

    /// <summary>Sizes.</summary>
    public required FamilyConfig Parts { get; init; }

    public required IReadOnlySet<int> EndIds { get; init; }

    public DecoderConfig Decoder => Parts.Decoder;

    public VisionConfig? Vision => Parts.Vision;

    /// <exception cref="CheckpointException">A file is missing, damaged, or of a model that is not supported.</exception>
    public static ModelConfig Read(string directory)
    {
        string path = Path.Combine(directory, "config.json");
        using JsonDocument json = JsonFile.Read(path);
        try
        {
            return Read(directory, new JsonFields(path, json.RootElement));
        }
        catch (Exception error) when (error is InvalidOperationException or FormatException)
        {
            throw new CheckpointException(path, "a setting is not what the format asks for: " + error.Message, error);
        }
    }

    private static ModelConfig Read(string directory, JsonFields root)
    {
        IModelFamily family = ModelFamilies.Of(root);
        return new ModelConfig
        {
            Architecture = root.Text("model_type"),
            Family = family,
            Parts = family.Read(root),
            EndIds = ReadEnds(directory, root, root.Find("text_config") ?? root.Find("llm_config") ?? root),
        };
    }

    private static HashSet<int> ReadEnds(string directory, JsonFields root, JsonFields text)
    {
        HashSet<int> ends = [.. root.Wholes("eos_token_id"), .. text.Wholes("eos_token_id")];
        string path = Path.Combine(directory, "generation_config.json");
        if (File.Exists(path))
        {
            using JsonDocument json = JsonFile.Read(path);
            int[] named = [.. new JsonFields(path, json.RootElement).Wholes("eos_token_id")];
            ends = named.Length > 0 ? [.. named] : ends;
        }

        return ends;
    }
}

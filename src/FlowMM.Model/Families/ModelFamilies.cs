using FlowMM.Model.Configuration;

namespace FlowMM.Model.Families;

/// <summary>Every family that this version runs.</summary>
internal static class ModelFamilies
{
    private static readonly IModelFamily[] All = [new TextFamily(), new LlavaFamily(), new QwenVlFamily(), new InternVlFamily(), new InternVlChatFamily(), new MobileVlmFamily()];

    /// <summary>The model_type values of all families.</summary>
    public static IEnumerable<string> Types => All.SelectMany(f => f.Types).Order(StringComparer.Ordinal);

    /// <exception cref="CheckpointException">No family reads the model_type.</exception>
    public static IModelFamily Of(JsonFields root)
    {
        string type = root.Text("model_type");
        return All.FirstOrDefault(f => f.Types.Contains(type))
            ?? throw root.Wrong($"model_type '{type}' is not supported; supported are {string.Join(", ", Types)}.");
    }
}

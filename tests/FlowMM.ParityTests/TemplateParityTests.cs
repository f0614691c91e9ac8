using System.Text.Json;
using FlowMM.Model;
using Xunit;

namespace FlowMM.ParityTests;

/// <summary>Published chat templates against what jinja2 made of them, where the goldens root holds them.</summary>
public sealed class TemplateParityTests
{
    private static string Folder => Path.Combine(Goldens.Root, "chat_templates");

    public static TheoryData<string> Names() => [.. Directory.Exists(Folder) ? Directory.GetDirectories(Folder).Select(f => Path.GetFileName(f)) : []];

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(Names))]
    public void Render_PublishedTemplate_EqualsTheReference(string name)
    {
        JsonElement golden = Goldens.Text(Path.Combine(Folder, name), "cases.json");
        string file = Path.Combine(Folder, name, "template.jinja");
        string text = File.Exists(file) ? File.ReadAllText(file) : Goldens.Text(Goldens.Published(name), "tokenizer_config.json").GetProperty("chat_template").GetString()!;
        Check(golden, new ChatTemplate(text, golden.GetProperty("special_tokens").EnumerateObject().ToDictionary(p => p.Name, p => Value(p.Value))));
    }

    [Theory]
    [InlineData("qwen2.5-vl", true)]
    [InlineData("internvl-hf", true)]
    [InlineData("llava-1.5-hf", false)]
    [InlineData("vicuna-v1", false)]
    [InlineData("llama-3", false)]
    public void KeepsOrder_OfPublishedTemplate_IsSeen(string name, bool expected) =>
        Assert.Equal(expected, new ChatTemplate(File.ReadAllText(Path.Combine(Folder, name, "template.jinja")), new Dictionary<string, object?>()).KeepsOrder);

    /// <summary>Families that publish their conversations as code have them built in.</summary>
    [Theory]
    [InlineData("vicuna-v1", """{"model_type": "mobilevlm"}""")]
    [InlineData("internvl2_5-chat", """{"model_type": "internvl_chat", "template": "internvl2_5"}""")]
    public void Render_BuiltInTemplate_EqualsTheReference(string name, string config)
    {
        JsonElement golden = Goldens.Text(Path.Combine(Folder, name), "cases.json");
        using TemporaryFolder folder = new("config.json", config);
        File.WriteAllText(Path.Combine(folder.Path, "tokenizer_config.json"), golden.GetProperty("special_tokens").GetRawText());
        Check(golden, ChatTemplate.Load(folder.Path));
    }

    private static void Check(JsonElement golden, ChatTemplate template)
    {
        foreach (JsonElement item in golden.GetProperty("cases").EnumerateArray())
        {
            Dictionary<string, object?> variables = item.GetProperty("kwargs").EnumerateObject().ToDictionary(p => p.Name, p => Value(p.Value));
            variables["messages"] = Value(item.GetProperty("messages"));
            Assert.Equal(item.GetProperty("rendered").GetString(), template.Render(variables));
        }
    }

    private static object? Value(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.String => element.GetString(),
        JsonValueKind.Number => element.TryGetInt64(out long whole) ? (object)whole : element.GetDouble(),
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        JsonValueKind.Array => element.EnumerateArray().Select(Value).ToList(),
        JsonValueKind.Object => element.EnumerateObject().ToDictionary(p => p.Name, p => Value(p.Value)),
        _ => null,
    };
}

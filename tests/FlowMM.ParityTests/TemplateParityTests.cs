using System.Text.Json;
using FlowMM.Model;
using Xunit;

namespace FlowMM.ParityTests;

/// <summary>Published chat templates against what jinja2 made of them, where the goldens root holds them.</summary>
public sealed class TemplateParityTests
{
    public static TheoryData<string> Names()
    {
        TheoryData<string> names = [];
        string folder = Path.Combine(Goldens.Root, "chat_templates");
        foreach (string path in Directory.Exists(folder) ? Directory.GetDirectories(folder) : [])
        {
            if (File.Exists(Path.Combine(path, "template.jinja")))
            {
                names.Add(Path.GetFileName(path));
            }
        }

        return names;
    }

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(Names))]
    public void Render_PublishedTemplate_EqualsTheReference(string name)
    {
        string folder = Path.Combine(Goldens.Root, "chat_templates", name);
        using JsonDocument json = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "cases.json")));
        Dictionary<string, object?> tokens = json.RootElement.GetProperty("special_tokens").EnumerateObject().ToDictionary(p => p.Name, p => Value(p.Value));
        ChatTemplate template = new(File.ReadAllText(Path.Combine(folder, "template.jinja")), tokens);
        foreach (JsonElement item in json.RootElement.GetProperty("cases").EnumerateArray())
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

using System.Text;
using System.Text.Json.Nodes;
using FlowMM.Model;
using FsCheck;
using FsCheck.Fluent;
using FsCheck.Xunit;
using Xunit;

namespace FlowMM.UnitTests.Model;

/// <summary>Which template a checkpoint's files come to.</summary>
public sealed class ChatTemplateLoadTests
{
    private static readonly ChatMessage Hello = new("user", [ChatPart.OfText("hello")]);

    [Fact]
    public void Load_SeveralPlaces_TakesTheirOrder()
    {
        using CheckpointFolder folder = Bare();
        folder.Edit("tokenizer_config.json", c => c["chat_template"] = Marked("config"));
        Assert.Equal("config hello", Rendered(folder));
        File.WriteAllText(folder.File("chat_template.json"), new JsonObject { ["chat_template"] = Marked("json") }.ToJsonString());
        Assert.Equal("json hello", Rendered(folder));
        File.WriteAllText(folder.File("chat_template.jinja"), Marked("jinja"));
        Assert.Equal("jinja hello", Rendered(folder));
    }

    [Fact]
    public void Load_NamedTemplates_TakesTheDefault()
    {
        using CheckpointFolder folder = Bare();
        JsonArray named = [new JsonObject { ["name"] = "tool_use", ["template"] = Marked("tools") }, new JsonObject { ["name"] = "default", ["template"] = Marked("default") }];
        folder.Edit("tokenizer_config.json", c => c["chat_template"] = named);
        Assert.Equal("default hello", Rendered(folder));
    }

    [Theory]
    [InlineData("given.jinja")]
    [InlineData("given.json")]
    public void Load_GivenFile_IsUsedInstead(string name)
    {
        using CheckpointFolder folder = Bare();
        folder.Edit("tokenizer_config.json", c => c["chat_template"] = Marked("config"));
        File.WriteAllText(folder.File(name), name.EndsWith("json", StringComparison.Ordinal) ? new JsonObject { ["chat_template"] = Marked("given") }.ToJsonString() : Marked("given"));
        Assert.Equal("given hello", ChatTemplate.Load(folder.Path, folder.File(name)).Render([Hello], true));
    }

    [Theory]
    [InlineData("mobilevlm", "", "USER: hello ASSISTANT:")]
    [InlineData("internvl_chat", "internvl2_5", "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n")]
    public void Load_FamilyThatPublishesCode_HasItsTemplateBuiltIn(string type, string conversation, string expected)
    {
        using CheckpointFolder folder = Bare();
        folder.Edit("config.json", c => (c["model_type"], c["template"]) = (type, conversation));
        Assert.EndsWith(expected, Rendered(folder), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("llama", "", "there is no chat_template")]
    [InlineData("internvl_chat", "Hermes-2", "the conversation template 'Hermes-2' is not known")]
    public void Load_NoTemplate_SaysHowToGiveOne(string type, string conversation, string expected)
    {
        using CheckpointFolder folder = Bare();
        folder.Edit("config.json", c => (c["model_type"], c["template"]) = (type, conversation));
        string message = Assert.Throws<CheckpointException>(() => ChatTemplate.Load(folder.Path)).Message;
        Assert.Contains(expected, message, StringComparison.Ordinal);
        Assert.Contains("--chat-template", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{% import 'x' as y %}")]
    [InlineData("{{ messages | sort_by_colour }}")]
    [InlineData("{% for m in messages %}")]
    public void Load_UnsupportedTemplate_NamesTheFile(string template)
    {
        using CheckpointFolder folder = Bare();
        File.WriteAllText(folder.File("chat_template.jinja"), template);
        Exception? error = Record.Exception(() => ChatTemplate.Load(folder.Path).Render([Hello], true));
        Assert.True(error is TemplateException || (error is CheckpointException && error.Message.Contains("chat_template.jinja", StringComparison.Ordinal)), error?.ToString());
    }

    /// <summary>A damaged template renders something or is refused; it never does anything else, and it ends.</summary>
    [Property(MaxTest = 300)]
    public Property Render_MutatedTemplate_EndsOrIsRefused() => Prop.ForAll(ArbMap.Default.ArbFor<NonEmptyArray<(ushort, byte)>>(), edits =>
    {
        byte[] text = Encoding.ASCII.GetBytes(
            "{%- set ns = namespace(n=0) %}{% for m in messages[::-1] %}{% if m['role'] == 'user' and loop.first or not ns.n %}{{ m.content | trim + ' ' * 2 }}{% endif %}"
            + "{% macro f(a, b=1) %}{{ a[:b] }}{% endmacro %}{{ f('abc') }}{% set ns.n = ns.n + loop.index0 %}{{ [1, {'a': none}] | tojson }}{% endfor %}");
        foreach ((ushort where, byte value) in edits.Get)
        {
            text[where % text.Length] = (byte)(32 + (value % 95));
        }

        try
        {
            _ = new ChatTemplate(Encoding.ASCII.GetString(text), new Dictionary<string, object?>()).Render([Hello, Hello], true);
            return true;
        }
        catch (TemplateException)
        {
            return true;
        }
    });

    private static CheckpointFolder Bare()
    {
        CheckpointFolder folder = new(withWeights: false);
        File.Delete(folder.File("chat_template.jinja"));
        File.Delete(folder.File("chat_template.json"));
        folder.Edit("tokenizer_config.json", c => c.Remove("chat_template"));
        return folder;
    }

    private static string Marked(string mark) => mark + " {{ messages[0]['content'] }}";

    private static string Rendered(CheckpointFolder folder) => ChatTemplate.Load(folder.Path).Render([Hello], true);
}

using System.Text.Json;
using FlowMM.Cli;
using FlowMM.Cli.Eval;
using FlowMM.UnitTests.Testing;
using Xunit;

namespace FlowMM.UnitTests.Cli.Eval;

/// <summary>Evaluation on the shipped sets: reading, asking, counting, reporting.</summary>
public sealed class EvalTests
{
    private static readonly string Shipped = Path.Combine(TinyModel.Directory, "eval");

    [Fact]
    public void Sets_OfShippedFolder_AreAllButThePictures() => Assert.Equal(
        ["single", "images-4", "facts", "images-8", "images-16", "images-32", "images-64"], new EvalFolder(Shipped).Sets);

    [Fact]
    public void Read_WithLimit_TakesTheFirstConversations()
    {
        IReadOnlyList<EvalConversation> read = new EvalFolder(Shipped).Read("images-8", 2);
        Assert.Equal(["images-8-000", "images-8-001"], read.Select(c => c.Id));
        Assert.All(read, c => Assert.Equal(8, c.Images.Count));
    }

    [Fact]
    public void Read_LineThatIsNoJson_NamesFileAndLine()
    {
        string folder = Directory.CreateTempSubdirectory("flowmm-eval-").FullName;
        string good = """{"id": "a", "images": [], "context": "Hello", "turns": [{"question": "q", "answer": "a", "kind": "fact"}]}""";
        File.WriteAllLines(Path.Combine(folder, "broken.jsonl"), [good, "{"]);
        CommandException error = Assert.Throws<CommandException>(() => new EvalFolder(folder).Read("broken", null));
        Assert.Contains("broken.jsonl:2:", error.Message, StringComparison.Ordinal);
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public void InOrder_ConversationsSideBySide_AnswerAsOneByOne()
    {
        EvalFolder folder = new(Shipped);
        using EvalModel model = new(TinyModel.Model, folder);
        IReadOnlyList<EvalConversation> conversations = folder.Read("images-4", 3);
        InOrderProtocol protocol = new();
        Assert.Equal(
            conversations.SelectMany(c => protocol.Ask(model, [c])).Select(a => a.Text),
            protocol.Ask(model, conversations).Select(a => a.Text));
    }

    [Fact]
    public void Alone_FirstQuestions_AreAnsweredAsInOrder()
    {
        EvalFolder folder = new(Shipped);
        using EvalModel model = new(TinyModel.Model, folder);
        IReadOnlyList<EvalConversation> conversations = folder.Read("facts", 3);
        Assert.Equal(First(new InOrderProtocol().Ask(model, conversations)), First(new AloneProtocol().Ask(model, conversations)));
    }

    [Fact]
    public void Accuracy_OfAnswers_CountsExactOnesByKind()
    {
        EvalTurn colour = new() { Question = "?", Answer = "red", Kind = "colour" }, count = new() { Question = "?", Answer = "two", Kind = "count" };
        EvalConversation conversation = new() { Id = "a", Images = [], Context = "", Turns = [colour, count] };
        Accuracy accuracy = Accuracy.Of([new(conversation, colour, " red "), new(conversation, colour, "Red"), new(conversation, count, "two"), new(conversation, count, "two")]);
        Assert.Equal(0.75, accuracy.All);
        Assert.Equal([("colour", 0.5), ("count", 1.0)], accuracy.Kinds.Select(k => (k.Key, k.Value)));
        Assert.Equal("all 0.750 colour 0.500 count 1.000 of 4", accuracy.ToString());
    }

    [Fact]
    public void Write_Report_HasTheReferencesShape()
    {
        string file = Path.GetTempFileName();
        EvalReport report = new("a test", ["alone", "in order"]);
        report.Add("single", "alone", new Accuracy { All = 2 / 3.0, Kinds = new Dictionary<string, double> { ["read"] = 2 / 3.0 }, Questions = 3 });
        report.Write(file);
        JsonElement row = JsonDocument.Parse(File.ReadAllText(file)).RootElement.GetProperty("sets").GetProperty("single").GetProperty("alone");
        Assert.Equal("""{"all":0.6667,"read":0.6667,"questions":3}""", JsonSerializer.Serialize(row));
        File.Delete(file);
    }

    private static IEnumerable<string> First(IEnumerable<EvalAnswer> answers) => answers.GroupBy(a => a.Conversation.Id).Select(g => g.First().Text);
}

using FlowMM.Model;
using Xunit;

namespace FlowMM.ParityTests;

/// <summary>A conversation that is fed turn by turn, as sessions do it, against the whole prompt of the reference.</summary>
public sealed class PromptParityTests
{
    public static TheoryData<GoldenCase> Conversations => [.. Goldens.Cases().Where(c => c.Messages(c.Model()).Any(m => m.Role == "assistant"))];

    [Theory]
    [MemberData(nameof(Conversations), DisableDiscoveryEnumeration = true)]
    public void Continue_TurnByTurn_EqualsTheWholePrompt(GoldenCase golden)
    {
        ChatModel model = golden.Model();
        PromptBuilder prompts = new(model);
        IReadOnlyList<ChatMessage> messages = golden.Messages(model);
        int answer = messages.Index().First(m => m.Item.Role == "assistant").Index;
        List<int> fed = [.. prompts.Build([.. messages.Take(answer)]).Ids];
        for (; answer < messages.Count; answer += 2)
        {
            // The answer as the model gives it: from its beginning, where some tokenizers mark one.
            fed.AddRange(model.Tokenizer.Encode(string.Concat(messages[answer].Parts.Select(p => p.Text)), parseSpecial: false));
            NextPrompt next = prompts.Continue([.. messages.Take(answer + 1)], messages[answer + 1]);
            Assert.False(next.Reset);
            fed.AddRange(next.Tokens.Ids);
        }

        Assert.Equal(prompts.Build(messages).Ids, fed);
    }
}
